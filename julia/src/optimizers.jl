"""
    SearchOptions(; time_limit = 60.0, gap = 1e-6, threads = 1, seed = 0,
                    verbose = false, callback = nothing)

How long, how exactly and with what to search; the functions that solve take
these keyword arguments.

 * `time_limit`: wall-clock seconds for one problem.
 * `gap`: relative MIP gap at which a solution counts as optimal.
 * `threads`, `seed`: solver threads and random seed.
 * `verbose`: whether the solver writes its own log.
 * `callback`: called as `callback(objective, bound, nodes)` now and then (by
   HiGHS with one thread, and by the branch and bound for L2); the search stops
   when it returns `true`.
"""
Base.@kwdef struct SearchOptions
    time_limit::Float64 = 60.0
    gap::Float64 = 1e-6
    threads::Int = 1
    seed::Int = 0
    verbose::Bool = false
    callback::Any = nothing

    function SearchOptions(time_limit, gap, threads, seed, verbose, callback)
        if !(time_limit > 0)
            throw(
                InputError("time limit: expected seconds > 0, found $time_limit"),
            )
        elseif !(0 <= gap < Inf)
            throw(InputError("gap: expected a relative gap >= 0, found $gap"))
        elseif threads < 1
            throw(InputError("threads: expected at least 1, found $threads"))
        elseif seed < 0
            throw(InputError("seed: expected a seed >= 0, found $seed"))
        end
        return new(time_limit, gap, threads, seed, verbose, callback)
    end
end

"""Feasibility and integrality tolerance for the solvers. With their default of
1e-6, a big-M of 1000 lets 1e-3 "trickle" through a closed neuron."""
const TIGHT_TOLERANCE = 1e-9

"""Share of the asked MIP gap that the solver gets; the rest covers what polishing
its answer to `Float64` precision adds to the objective."""
const SOLVER_GAP_SHARE = 0.5

"""
    solver_attributes(solver, seed)

Attributes of the solver called `solver` (as `JuMP.solver_name` tells it) that
MathOptInterface has no common name for: seed, tolerances, absolute gap.
"""
function solver_attributes(solver::AbstractString, seed::Int)
    if solver == "HiGHS"
        return Pair{String,Any}[
            "random_seed" => seed,
            "primal_feasibility_tolerance" => TIGHT_TOLERANCE,
            "mip_feasibility_tolerance" => TIGHT_TOLERANCE,
            "mip_abs_gap" => 0.0,
        ]
    elseif solver == "Gurobi"
        return Pair{String,Any}[
            "Seed" => seed,
            "FeasibilityTol" => TIGHT_TOLERANCE,
            "IntFeasTol" => TIGHT_TOLERANCE,
            "MIPGapAbs" => 0.0,
        ]
    elseif solver == "SCIP"
        return Pair{String,Any}[
            "randomization/randomseedshift" => seed,
            "numerics/feastol" => TIGHT_TOLERANCE,
        ]
    end
    return Pair{String,Any}[]
end

"""
    solver_model(optimizer, options)

An empty JuMP model whose solver follows the [`SearchOptions`](@ref).
"""
function solver_model(optimizer, options::SearchOptions)
    model = JuMP.Model(optimizer)
    # Names only cost time and memory here; users see them in their own models.
    JuMP.set_string_names_on_creation(model, false)
    options.verbose || JuMP.set_silent(model)
    JuMP.set_time_limit_sec(model, options.time_limit)
    backend = JuMP.unsafe_backend(model)
    for (attribute, value) in (
        MOI.RelativeGapTolerance() => SOLVER_GAP_SHARE * options.gap,
        MOI.NumberOfThreads() => options.threads,
    )
        if MOI.supports(backend, attribute)
            JuMP.set_attribute(model, attribute, value)
        end
    end
    solver = JuMP.solver_name(model)
    for (name, value) in solver_attributes(solver, options.seed)
        JuMP.set_attribute(model, name, value)
    end
    return model
end

"""
    optimize_model!(model, options)

`JuMP.optimize!` with what the [`SearchOptions`](@ref) ask of the running
search: its progress callback. Returns the wall-clock seconds it took.
"""
function optimize_model!(model::JuMP.Model, options::SearchOptions)
    # With more threads, solvers may call back from a thread of their own.
    if options.callback !== nothing && options.threads == 1
        # HiGHS takes a callback only when the model is already in the solver.
        MOI.Utilities.attach_optimizer(model)
        solver = Symbol(JuMP.solver_name(model))
        set_progress_callback!(model, Val(solver), options.callback)
    end
    return @elapsed JuMP.optimize!(model)
end

"""Seconds between two calls of a progress callback; HiGHS offers thousands."""
const CALLBACK_INTERVAL = 0.1

"""
    set_progress_callback!(model, ::Val{solver}, callback)

Let the solver call `callback(objective, bound, nodes)` during its search and
stop when it returns `true`. Solvers without a method run without it.
"""
set_progress_callback!(::JuMP.Model, ::Val, callback) = nothing

function set_progress_callback!(model::JuMP.Model, ::Val{:HiGHS}, callback)
    last_call = Ref(-Inf)
    function highs_callback(::Cint, ::Ptr{Cchar}, data::HiGHS.HighsCallbackDataOut)
        time() - last_call[] < CALLBACK_INTERVAL && return Cint(0)
        last_call[] = time()
        objective, bound = data.mip_primal_bound, data.mip_dual_bound
        stop = callback(objective, bound, Int(data.mip_node_count))
        return Cint(stop === true)
    end
    places = Cint[HiGHS.kHighsCallbackMipInterrupt]
    MOI.set(
        JuMP.unsafe_backend(model),
        HiGHS.CallbackFunction(places),
        highs_callback,
    )
    return
end

"""
    named_optimizer(name)

The optimizer called `"highs"`, `"gurobi"` or `"scip"`. For the last two, the
package Gurobi or SCIP must be installed in the active environment; it is loaded
here.
"""
function named_optimizer(name::AbstractString)
    key = lowercase(name)
    key == "highs" && return HiGHS.Optimizer
    packages = Dict(
        "gurobi" => ("Gurobi", "2e9cd046-0924-5485-92f1-d5272153d98b"),
        "scip" => ("SCIP", "82193955-e24f-5292-bf16-6f2c5261a85f"),
    )
    if !haskey(packages, key)
        throw(
            InputError(
                "optimizer: expected highs, gurobi or scip, found $(repr(name))",
            ),
        )
    end
    package, uuid = packages[key]
    id = Base.PkgId(Base.UUID(uuid), package)
    try
        Base.require(id)
    catch err
        err isa InterruptException && rethrow()
        throw(
            InputError(
                "optimizer: expected package $package in this Julia " *
                "environment (import Pkg; Pkg.add(\"$package\")), found: " *
                first(split(sprint(showerror, err), '\n')),
            ),
        )
    end
    return Base.invokelatest(extension_optimizer, Val(Symbol(key)))
end

"""
    extension_optimizer(::Val{name})

Extended by the package extensions for Gurobi and SCIP.
"""
function extension_optimizer end

"""
    proven_bound(model)

A bound on the optimal value that the solver has proven, also when it stopped on
a limit: its *dual* bound, never the value of its best solution. `nothing` when
it tells none.
"""
function proven_bound(model::JuMP.Model)
    bound = try
        JuMP.objective_bound(model)
    catch err
        err isa InterruptException && rethrow()
        return nothing
    end
    # HiGHS, Gurobi and SCIP write "none yet" as an infinity or as 1e20 and more.
    return isfinite(bound) && abs(bound) < 1e20 ? bound : nothing
end
