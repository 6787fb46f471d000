# A surrogate of a simulator with its trust region: at which settings does a reactor yield most?
# docs/examples/trusted_surrogate.py has the simulator's formula, and how data/reactor.safetensors
# was learned from the runs in data/reactor-runs.safetensors.
#
#   julia --project=. julia/examples/trusted_surrogate.jl

using JuMP, ReLUOpt
import HiGHS

const LOW, HIGH = [1.0, 300.0], [60.0, 380.0]  # min, K
const NEAR = [2.0, 2.5]  # min, K: how far from a run the network is trusted

"""The share of A that leaves the tank as B."""
function simulate(time, kelvin)
    first, second = exp(14 - 5000 / kelvin), exp(25.5 - 9500 / kelvin)
    return first * time / ((1 + first * time) * (1 + second * time))
end

"""Settings of the largest learned yield, near one of the `runs` (a row for each) if there are any."""
function best_settings(network, runs)
    model = Model(HiGHS.Optimizer)
    set_silent(model)
    @variable(model, LOW[i] <= setting[i in 1:2] <= HIGH[i])
    net = add_network!(model, network, setting; bounds = ReLUOpt.OptimizationBounds())
    if runs !== nothing
        @variable(model, near[axes(runs, 1)], Bin)
        @constraint(model, sum(near) == 1)
        far = HIGH .- LOW
        for i in 1:2, j in axes(runs, 1)
            reach = @expression(model, NEAR[i] * near[j] + far[i] * (1 - near[j]))
            @constraint(model, setting[i] - runs[j, i] <= reach)
            @constraint(model, runs[j, i] - setting[i] <= reach)
        end
    end
    @objective(model, Max, only(net.output))
    optimize!(model)
    @assert is_solved_and_feasible(model)
    found = value.(setting)
    learned, simulated = only(ReLUOpt.forward(network, found)), simulate(found...)
    return (; setting = found, promised = objective_value(model), learned, simulated)
end

"""The optimum anywhere and near a run, and the best of the runs themselves."""
function trusted_surrogate()
    network = load_network(joinpath(@__DIR__, "data", "reactor.safetensors"))
    tensors, _ = ReLUOpt.read_tensors(joinpath(@__DIR__, "data", "reactor-runs.safetensors"))
    runs = tensors["runs"]
    anywhere, near_a_run = best_settings(network, nothing), best_settings(network, runs)
    return (; anywhere, near_a_run, best_run = maximum(simulate.(runs[:, 1], runs[:, 2])))
end

if abspath(PROGRAM_FILE) == @__FILE__
    foreach(println, pairs(trusted_surrogate()))
end
