module TestOptimizers

using ReLUOpt
using Test

import JuMP

include("examples.jl")

function test_options_reach_highs()
    options = ReLUOpt.SearchOptions(; time_limit = 7.0, gap = 1e-3, threads = 1, seed = 5)
    model = ReLUOpt.solver_model(HiGHS.Optimizer, options)
    @test JuMP.time_limit_sec(model) == 7.0
    @test JuMP.get_attribute(model, "random_seed") == 5
    @test JuMP.get_attribute(model, "threads") == 1
    @test JuMP.get_attribute(model, "mip_rel_gap") <= 1e-3
    return
end

function test_bad_options()
    for bad in ((; time_limit = 0.0), (; gap = -1.0), (; threads = 0), (; seed = -1))
        @test_throws InputError ReLUOpt.SearchOptions(; bad...)
    end
    return
end

function test_named_optimizer()
    @test ReLUOpt.named_optimizer("highs") === HiGHS.Optimizer
    @test_throws InputError ReLUOpt.named_optimizer("other")
    if Base.find_package("Gurobi") === nothing
        message = try
            ReLUOpt.named_optimizer("gurobi")
        catch err
            sprint(showerror, err)
        end
        @test occursin("Pkg.add(\"Gurobi\")", message)
    end
    return
end

function test_dual_bound_on_a_limit()
    # A knapsack that takes many nodes, stopped before the first of them.
    rng = Random.MersenneTwister(1)
    model = silent_model()
    JuMP.@variable(model, x[1:60], Bin)
    w = rand(rng, 60)
    JuMP.@constraint(model, w' * x <= sum(w) / 2)
    JuMP.@objective(model, Max, (w .+ 0.1 .* rand(rng, 60))' * x)
    JuMP.optimize!(model)
    best = JuMP.objective_value(model)
    JuMP.set_attribute(model, "mip_max_nodes", 1)
    JuMP.set_attribute(model, "mip_heuristic_effort", 0.0)
    JuMP.optimize!(model)
    @test ReLUOpt.proven_bound(model) >= best - 1e-6
    return
end

function test_callback_stops_highs()
    network = random_network(2, 40, 24, 24, 10)
    image = random_inputs(3, 40, 1)[1]
    calls = Tuple{Float64,Float64,Int}[]
    function callback(objective, bound, nodes)
        push!(calls, (objective, bound, nodes))
        return true
    end
    target = reachable_target(network, image)
    result = minimal_perturbation(
        network,
        image,
        target;
        callback,
        bounds = IntervalBounds(),
        incumbent = nothing,
    )
    @test !isempty(calls)
    @test result.status in (SolveStatus.TIME_LIMIT, SolveStatus.FEASIBLE)
    return
end

end # module TestOptimizers

TestOptimizers
