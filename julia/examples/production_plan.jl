# A production plan with a learned yield: how much water and nitrogen does each field get?
# docs/examples/production_plan.py says what is known, and how data/yield.safetensors was learned.
#
#   julia --project=. julia/examples/production_plan.jl

using JuMP, ReLUOpt
import HiGHS

const AREA, SOIL = [40.0, 25.0, 35.0], [0.1, 0.5, 0.9]  # ha, index
const PRICE = [250.0, 190.0, 150.0]  # euro per t of seed, bread and feed wheat
const COST_W, COST_N = 0.9, 1.1  # euro per mm ha, per kg
const WATER, NITROGEN = 13_000.0, 8_000.0  # mm ha and kg in all

"""Water (mm) and nitrogen (kg/ha) of each field, the profit (euro), and what the network says."""
function production_plan()
    network = load_network(joinpath(@__DIR__, "data", "yield.safetensors"))
    model = Model(HiGHS.Optimizer)
    set_silent(model)
    @variable(model, 0 <= water[1:3] <= 400)
    @variable(model, 0 <= nitrogen[1:3] <= 220)
    @variable(model, pumped[1:3], Bin)
    grown = map(1:3) do i
        return only(add_network!(model, network, [water[i], nitrogen[i], SOIL[i]]).output)
    end
    @constraint(model, water .<= 400 .* pumped)
    @constraint(model, sum(pumped) <= 2)
    @constraint(model, AREA' * water <= WATER)
    @constraint(model, AREA' * nitrogen <= NITROGEN)
    profit(tonnes, w, n) = sum(AREA .* (PRICE .* tonnes .- COST_W .* w .- COST_N .* n))
    @objective(model, Max, profit(grown, water, nitrogen))
    optimize!(model)
    @assert is_solved_and_feasible(model)
    w, n = value.(water), value.(nitrogen)
    learned = [only(ReLUOpt.forward(network, [w[i], n[i], SOIL[i]])) for i in 1:3]
    promised = objective_value(model)
    return (; water = w, nitrogen = n, promised, learned = profit(learned, w, n))
end

if abspath(PROGRAM_FILE) == @__FILE__
    foreach(println, pairs(production_plan()))
end
