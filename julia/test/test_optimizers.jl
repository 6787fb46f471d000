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
        @test_throws ArgumentError ReLUOpt.SearchOptions(; bad...)
    end
    return
end

"""The attributes that were once overwritten: seed, tolerance, time limit and gap of one's own."""
const OWN_ATTRIBUTES = JuMP.optimizer_with_attributes(
    HiGHS.Optimizer,
    "random_seed" => 7,
    "mip_feasibility_tolerance" => 1e-6,
    "time_limit" => 5.0,
    "mip_rel_gap" => 0.01,
)

function test_attributes_of_the_user_win()
    options = ReLUOpt.SearchOptions(; seed = 3, time_limit = 60.0)
    model = ReLUOpt.solver_model(OWN_ATTRIBUTES, options)
    @test JuMP.get_attribute(model, "random_seed") == 7
    @test JuMP.get_attribute(model, "mip_feasibility_tolerance") == 1e-6
    @test JuMP.get_attribute(model, "time_limit") == 5.0
    @test JuMP.get_attribute(model, "mip_rel_gap") == 0.01
    # What the user does not set stays tight, and silent.
    @test JuMP.get_attribute(model, "primal_feasibility_tolerance") == 1e-9
    @test JuMP.get_attribute(model, "output_flag") == false
    # Common attributes, and attributes on top of attributes, win as well.
    nested = JuMP.optimizer_with_attributes(
        HiGHS.Optimizer,
        JuMP.MOI.TimeLimitSec() => 4.0,
        JuMP.MOI.Silent() => false,
    )
    model = ReLUOpt.solver_model(nested, options)
    @test JuMP.time_limit_sec(model) == 4.0
    @test JuMP.get_attribute(model, "output_flag") == true
    return
end

function test_attributes_of_the_user_reach_the_solve()
    network = random_network(2, 20, 16, 12, 10)
    image = random_inputs(3, 20, 1)[1]
    target = reachable_target(network, image)
    exact = minimal_perturbation(network, image, target)
    @test exact.status == SolveStatus.OPTIMAL
    @test exact.termination_status == JuMP.MOI.OPTIMAL
    loose = minimal_perturbation(
        network,
        image,
        target;
        optimizer = JuMP.optimizer_with_attributes(HiGHS.Optimizer, "mip_rel_gap" => 0.9),
        incumbent = nothing,
        bounds = IntervalBounds(),
    )
    @test loose.bound <= exact.objective * (1 + 1e-6)
    if loose.status == SolveStatus.FEASIBLE
        @test loose.termination_status == JuMP.MOI.OPTIMAL
        @test occursin("own relative gap is 0.9", loose.message)
    end
    # Less time than it takes to read the model.
    hurried = JuMP.optimizer_with_attributes(HiGHS.Optimizer, "time_limit" => 1e-3)
    short = minimal_perturbation(
        network,
        image,
        target;
        optimizer = hurried,
        incumbent = nothing,
        bounds = IntervalBounds(),
    )
    @test short.termination_status == JuMP.MOI.TIME_LIMIT
    return
end

function test_loose_tolerances_are_refused()
    network = random_network(2, 4, 5, 3)
    for name in
        ("mip_feasibility_tolerance", "primal_feasibility_tolerance", "dual_feasibility_tolerance")
        loose = JuMP.optimizer_with_attributes(HiGHS.Optimizer, name => 1e-3)
        message = try
            minimal_perturbation(network, fill(0.5, 4), 1; optimizer = loose)
            ""
        catch err
            err isa ArgumentError ? err.msg : rethrow()
        end
        @test occursin("expected $name <= 1.0e-6, found 0.001", message)
        @test occursin("proves nothing", message)
    end
    return
end

# An optimizer for linear programs alone.
struct LinearOnly <: JuMP.MOI.AbstractOptimizer end
JuMP.MOI.is_empty(::LinearOnly) = true
JuMP.MOI.get(::LinearOnly, ::JuMP.MOI.SolverName) = "LinearOnly"

function test_unsupported_problems_are_refused()
    network = random_network(2, 4, 5, 3)
    image = fill(0.5, 4)
    unsupported = ReLUOpt.UnsupportedProblemError
    @test_throws unsupported minimal_perturbation(network, image, 1; optimizer = LinearOnly)
    @test_throws unsupported classify(network, image; optimizer = LinearOnly)
    @test_throws unsupported optimal_input(network, 1; optimizer = LinearOnly)
    # HiGHS takes quadratic objectives and integers, but not at once.
    message = try
        minimal_perturbation(network, image, 1; norm = 2, search = ProgramSearch())
        ""
    catch err
        sprint(showerror, err)
    end
    @test startswith(message, "UnsupportedProblemError: optimizer HiGHS: ")
    @test occursin("PhaseSearch", message)
    @test_throws unsupported minimal_perturbation(network, image, 1; search = PhaseSearch())
    # A relaxation cannot be the answer.
    @test_throws ArgumentError minimal_perturbation(network, image, 1; formulation = Triangle())
    return
end

function test_automatic_search()
    network = random_network(2, 4, 5, 3)
    instance = HiGHS.Optimizer()
    chosen(norm) = ReLUOpt.chosen_search(
        AutomaticSearch(),
        ReLUOpt.PerturbationProblem(network, fill(0.5, 4), 1; norm),
        instance,
    )
    @test chosen(1) == ProgramSearch()
    @test chosen(2) == PhaseSearch()
    @test chosen(Inf) == ProgramSearch()
    @test ReLUOpt.supports_integers(instance)
    @test !ReLUOpt.supports_integer_quadratic(instance)
    return
end

"""L2 with SCIP: the phase search by default, the program on demand."""
function test_scip()
    if Base.find_package("SCIP") === nothing
        @info "SCIP is not installed: skipping its tests"
        return
    end
    @eval import SCIP
    return Base.invokelatest(_test_scip, @eval(SCIP.Optimizer))
end

function _test_scip(optimizer)
    network = random_network(11, 6, 8, 6, 4)
    image = random_inputs(12, 6, 1)[1]
    target = reachable_target(network, image)
    for norm in (1, 2, Inf)
        ours = minimal_perturbation(network, image, target; norm)
        theirs = minimal_perturbation(network, image, target; norm, optimizer)
        @test theirs.status == SolveStatus.OPTIMAL
        @test theirs.objective ≈ ours.objective rtol = 1e-5
    end
    instance = ReLUOpt.configured_optimizer(optimizer, ReLUOpt.SearchOptions(; seed = 3))
    @test ReLUOpt.supports_integer_quadratic(instance)
    raw(name) = JuMP.MOI.get(instance, JuMP.MOI.RawOptimizerAttribute(name))
    @test raw("randomization/randomseedshift") == 3
    @test raw("numerics/feastol") == 1e-9
    program = minimal_perturbation(
        network,
        image,
        target;
        norm = 2,
        optimizer,
        search = ProgramSearch(),
        time_limit = 20.0,
    )
    best = minimal_perturbation(network, image, target; norm = 2)
    @test program.bound <= best.objective * (1 + 1e-6)
    loose = JuMP.optimizer_with_attributes(optimizer, "numerics/feastol" => 1e-3)
    @test_throws ArgumentError minimal_perturbation(network, image, target; optimizer = loose)
    return
end

"""Gurobi.jl needs a licence of its own: without one, its environment fails."""
function test_gurobi()
    if Base.find_package("Gurobi") === nothing
        @info "Gurobi is not installed: skipping its tests"
        return
    end
    @eval import Gurobi
    environment = try
        @eval Gurobi.Env()
    catch err
        @info "Gurobi has no licence here: skipping its tests ($(first(split(sprint(showerror, err), '\n'))))"
        return
    end
    optimizer = () -> Base.invokelatest(@eval(Gurobi.Optimizer), environment)
    network = random_network(11, 6, 8, 6, 4)
    image = random_inputs(12, 6, 1)[1]
    target = reachable_target(network, image)
    for norm in (1, 2, Inf)
        ours = minimal_perturbation(network, image, target; norm)
        theirs = minimal_perturbation(network, image, target; norm, optimizer)
        @test theirs.objective ≈ ours.objective rtol = 1e-5
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
