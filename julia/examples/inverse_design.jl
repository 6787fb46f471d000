# Inverse design: the cheapest concrete of a wanted strength that can still be poured.
# docs/examples/inverse_design.py has the true formulas, and how data/concrete.safetensors was learned.
#
#   julia --project=. julia/examples/inverse_design.jl

using JuMP, ReLUOpt
import HiGHS

const LEAST, MOST = [180.0, 0.0, 130.0, 0.0], [480.0, 180.0, 220.0, 6.0]  # kg/m3
const COST = [0.13, 0.05, 0.001, 1.3]  # euro per kg of cement, fly ash, water, plasticiser
const SLUMP, WITHIN = 15.0, 0.1  # at least so many cm; so many MPa from the target

"""The cheapest mix for each target (MPa), with its cost (euro/m3) and what the network says of it."""
function inverse_design(targets)
    network = load_network(joinpath(@__DIR__, "data", "concrete.safetensors"))
    model = Model(HiGHS.Optimizer)
    set_silent(model)
    @variable(model, LEAST[i] <= mix[i in 1:4] <= MOST[i])
    strength, slump = add_network!(model, network, mix).output
    @constraint(model, slump >= SLUMP)
    @objective(model, Min, COST' * mix)
    return map(targets) do target
        row = @constraint(model, target - WITHIN <= strength <= target + WITHIN)
        optimize!(model)
        @assert is_solved_and_feasible(model)
        found = value.(mix)
        learned, cost = ReLUOpt.forward(network, found), objective_value(model)
        delete(model, row)
        return (; target, mix = found, cost, strength = learned[1], slump = learned[2])
    end
end

if abspath(PROGRAM_FILE) == @__FILE__
    foreach(println, inverse_design(25:5:55))
end
