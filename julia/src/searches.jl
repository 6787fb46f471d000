"""
    AbstractSearch

What proves a smallest change: [`AutomaticSearch`](@ref), [`ProgramSearch`](@ref)
or [`PhaseSearch`](@ref).
"""
abstract type AbstractSearch end

"""
    ProgramSearch()

The whole mixed-integer program goes to the optimizer. For L2 that is an integer
quadratic program, which HiGHS does not take.
"""
struct ProgramSearch <: AbstractSearch end

"""
    PhaseSearch()

The package's own branch and bound over the phases of the ReLUs, for L2 only: see
[`ReLUOpt.QuadraticSearch`](@ref).
"""
struct PhaseSearch <: AbstractSearch end

"""
    AutomaticSearch()

[`ProgramSearch`](@ref) for L1 and LInf. For L2, [`PhaseSearch`](@ref), unless the
optimizer is expected to prove such programs sooner
([`proves_quadratic`](@ref); SCIP is not: on the 784-32-16-10 network of the
package, it had the bound 0 after 60 s where the phase search was done in 1 to
8 s).
"""
struct AutomaticSearch <: AbstractSearch end

"""
    chosen_search(search, problem, instance)

The search to run with this optimizer. Throws an
[`UnsupportedProblemError`](@ref) if the two cannot solve the problem.
"""
function chosen_search(
    ::AutomaticSearch,
    problem::PerturbationProblem,
    instance::MOI.AbstractOptimizer,
)
    if problem.norm isa L2 && !proves_quadratic(instance)
        return PhaseSearch()
    end
    return chosen_search(ProgramSearch(), problem, instance)
end

function chosen_search(
    search::PhaseSearch,
    problem::PerturbationProblem,
    ::MOI.AbstractOptimizer,
)
    if !(problem.norm isa L2)
        throw(
            UnsupportedProblemError(
                "search: PhaseSearch answers norm = 2 only; use " *
                "AutomaticSearch or ProgramSearch",
            ),
        )
    end
    return search
end

function chosen_search(
    search::ProgramSearch,
    problem::PerturbationProblem,
    instance::MOI.AbstractOptimizer,
)
    check_integers(instance)
    if problem.norm isa L2 && !supports_integer_quadratic(instance)
        throw(
            UnsupportedProblemError(
                "optimizer $(solver_name(instance)): it takes no quadratic " *
                "objective together with integers; for norm = 2 use " *
                "PhaseSearch, or ProgramSearch with SCIP or Gurobi",
            ),
        )
    end
    return search
end

"""
    run_search(search, problem, bounds, best, setting, options, spent)

Answer a [`PerturbationProblem`](@ref) with a search. `bounds` are
[`PreActivationBounds`](@ref), `best` is an incumbent or `nothing`, `setting`
holds `formulation`, `optimizer`, its `instance` and the `cutoff`, and `spent`
counts the seconds before. Returns a [`PerturbationResult`](@ref).
"""
function run_search end
