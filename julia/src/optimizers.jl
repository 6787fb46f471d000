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

Attributes of an `optimizer_with_attributes` stand above them: see
[`configured_optimizer`](@ref).

Throws an `ArgumentError` for a number out of its range.
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
                ArgumentError(
                    "time_limit: expected seconds > 0, found $time_limit",
                ),
            )
        elseif !(0 <= gap < Inf)
            throw(ArgumentError("gap: expected a relative gap >= 0, found $gap"))
        elseif threads < 1
            throw(ArgumentError("threads: expected at least 1, found $threads"))
        elseif seed < 0
            throw(ArgumentError("seed: expected a seed >= 0, found $seed"))
        end
        return new(time_limit, gap, threads, seed, verbose, callback)
    end
end

"""Feasibility and integrality tolerance for the solvers. With their default of
1e-6, a big-M of 1000 lets 1e-3 "trickle" through a closed neuron."""
const TIGHT_TOLERANCE = 1e-9

"""The loosest tolerance that a user may ask of a solver. Certificates accept a
violation of 1e-6 of the logits' size ([`CONDITION_TOLERANCE`](@ref)): with a
looser one, a solver's optimum would be that of another problem."""
const LOOSEST_TOLERANCE = 1e-6

"""Share of the asked MIP gap that the solver gets; the rest covers what polishing
its answer to `Float64` precision adds to the objective."""
const SOLVER_GAP_SHARE = 0.5

"""
    solver_settings(optimizer, options)

Attributes that MathOptInterface has no common name for (seed, tolerances,
absolute gap), as a vector of `name => value`. One method for each known type of
optimizer; others get none. The extensions for Gurobi and SCIP add theirs.
"""
solver_settings(::MOI.AbstractOptimizer, ::SearchOptions) = Pair{String,Any}[]

function solver_settings(::HiGHS.Optimizer, options::SearchOptions)
    return Pair{String,Any}[
        "random_seed" => options.seed,
        "primal_feasibility_tolerance" => TIGHT_TOLERANCE,
        "mip_feasibility_tolerance" => TIGHT_TOLERANCE,
        "mip_abs_gap" => 0.0,
    ]
end

"""
    tolerance_names(optimizer)

Names of the attributes on which bounds and images rest: none may be looser than
[`LOOSEST_TOLERANCE`](@ref). One method for each known type of optimizer.
"""
tolerance_names(::MOI.AbstractOptimizer) = String[]

function tolerance_names(::HiGHS.Optimizer)
    return [
        "primal_feasibility_tolerance",
        "dual_feasibility_tolerance",
        "mip_feasibility_tolerance",
    ]
end

"""
    supports_integers(optimizer)

Whether the optimizer takes integer variables, as MathOptInterface tells it.
"""
function supports_integers(optimizer::MOI.AbstractOptimizer)
    return any((MOI.ZeroOne, MOI.Integer)) do set
        return MOI.supports_constraint(optimizer, MOI.VariableIndex, set)
    end
end

"""
    supports_integer_quadratic(optimizer)

Whether the optimizer takes a convex quadratic objective *together with* integer
variables. MathOptInterface tells each of the two; HiGHS takes both, but not at
once, and has a method that says so.
"""
function supports_integer_quadratic(optimizer::MOI.AbstractOptimizer)
    quadratic = MOI.ScalarQuadraticFunction{Float64}
    # A quadratic objective becomes a quadratic constraint by a bridge.
    takes_quadratic =
        MOI.supports(optimizer, MOI.ObjectiveFunction{quadratic}()) ||
        MOI.supports_constraint(optimizer, quadratic, MOI.LessThan{Float64})
    return takes_quadratic && supports_integers(optimizer)
end

supports_integer_quadratic(::HiGHS.Optimizer) = false

"""
    proves_quadratic(optimizer)

Whether the optimizer is expected to prove L2 programs in less time than the
package's [`PhaseSearch`](@ref); `false` unless an extension says otherwise.
"""
proves_quadratic(::MOI.AbstractOptimizer) = false

"""
    configured_optimizer(optimizer, options)

An instance of `optimizer` (anything that `JuMP.Model` takes) that follows the
[`SearchOptions`](@ref).

Attributes of an `optimizer_with_attributes` are set last, so they win over
keywords, over their defaults, and over the tight tolerances that are set here:

```julia
optimizer_with_attributes(HiGHS.Optimizer, "time_limit" => 5.0, "random_seed" => 7)
```

stops each solve after 5 s whatever `time_limit` says. A relative gap that is set
in this way ends the search early, and the status is then `FEASIBLE` unless
`gap` allows it too.

Throws an `ArgumentError` for a tolerance looser than
[`LOOSEST_TOLERANCE`](@ref).
"""
function configured_optimizer(optimizer, options::SearchOptions)
    instance = _instance(optimizer)
    for (attribute, value) in (
        MOI.Silent() => !options.verbose,
        MOI.TimeLimitSec() => options.time_limit,
        MOI.RelativeGapTolerance() => SOLVER_GAP_SHARE * options.gap,
        MOI.NumberOfThreads() => options.threads,
    )
        if MOI.supports(instance, attribute)
            MOI.set(instance, attribute, value)
        end
    end
    for (name, value) in solver_settings(instance, options)
        MOI.set(instance, MOI.RawOptimizerAttribute(name), value)
    end
    for (attribute, value) in _given_attributes(optimizer)
        MOI.set(instance, attribute, value)
    end
    _check_tolerances(instance)
    return instance
end

_instance(optimizer) = MOI.instantiate(optimizer)

function _instance(optimizer::MOI.OptimizerWithAttributes)
    return MOI.instantiate(optimizer.optimizer_constructor)
end

_given_attributes(optimizer) = ()
_given_attributes(optimizer::MOI.OptimizerWithAttributes) = optimizer.params

function _check_tolerances(instance::MOI.AbstractOptimizer)
    for name in tolerance_names(instance)
        value = MOI.get(instance, MOI.RawOptimizerAttribute(name))
        if !(value <= LOOSEST_TOLERANCE)
            throw(
                ArgumentError(
                    "optimizer: expected $name <= $LOOSEST_TOLERANCE, found " *
                    "$value: a solver that lets more through solves another " *
                    "problem, and its bound proves nothing about the network",
                ),
            )
        end
    end
    return
end

"""
    solver_model(instance)

An empty JuMP model on top of a [`configured_optimizer`](@ref).
"""
function solver_model(instance::MOI.AbstractOptimizer)
    model = JuMP.Model(() -> instance)
    # Names only cost time and memory here; users see them in their own models.
    JuMP.set_string_names_on_creation(model, false)
    return model
end

function solver_model(optimizer, options::SearchOptions)
    return solver_model(configured_optimizer(optimizer, options))
end

"""
    check_integers(instance)

Throw an [`UnsupportedProblemError`](@ref) if the optimizer takes no binary
variables.
"""
function check_integers(instance::MOI.AbstractOptimizer)
    if !supports_integers(instance)
        throw(
            UnsupportedProblemError(
                "optimizer $(solver_name(instance)): it takes no binary " *
                "variables, which a network needs; HiGHS, SCIP and Gurobi do",
            ),
        )
    end
    return
end

function solver_name(instance::MOI.AbstractOptimizer)
    return string(MOI.get(instance, MOI.SolverName()))
end

"""
Leave `left` of the seconds asked for to the solver, unless an attribute of the
user has set another limit.
"""
function _limit_time!(instance::MOI.AbstractOptimizer, asked::Real, left::Real)
    MOI.supports(instance, MOI.TimeLimitSec()) || return
    if MOI.get(instance, MOI.TimeLimitSec()) == asked
        MOI.set(instance, MOI.TimeLimitSec(), left)
    end
    return
end

"""
    optimize_model!(model, instance, options)

`JuMP.optimize!` with what the [`SearchOptions`](@ref) ask of the running
search: its progress callback. Returns the wall-clock seconds it took.
"""
function optimize_model!(
    model::JuMP.Model,
    instance::MOI.AbstractOptimizer,
    options::SearchOptions,
)
    # With more threads, solvers may call back from a thread of their own.
    if options.callback !== nothing && options.threads == 1
        # HiGHS takes a callback only when the model is already in the solver.
        MOI.Utilities.attach_optimizer(model)
        set_progress_callback!(instance, options.callback)
    end
    return @elapsed JuMP.optimize!(model)
end

"""Seconds between two calls of a progress callback; HiGHS offers thousands."""
const CALLBACK_INTERVAL = 0.1

"""
    set_progress_callback!(instance, callback)

Let the solver call `callback(objective, bound, nodes)` during its search and
stop when it returns `true`. Solvers without a method run without it.
"""
set_progress_callback!(::MOI.AbstractOptimizer, callback) = nothing

function set_progress_callback!(instance::HiGHS.Optimizer, callback)
    last_call = Ref(-Inf)
    function highs_callback(::Cint, ::Ptr{Cchar}, data::HiGHS.HighsCallbackDataOut)
        time() - last_call[] < CALLBACK_INTERVAL && return Cint(0)
        last_call[] = time()
        objective, bound = data.mip_primal_bound, data.mip_dual_bound
        stop = callback(objective, bound, Int(data.mip_node_count))
        return Cint(stop === true)
    end
    places = Cint[HiGHS.kHighsCallbackMipInterrupt]
    MOI.set(instance, HiGHS.CallbackFunction(places), highs_callback)
    return
end

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
