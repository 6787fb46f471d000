"""
    QuadraticSearch

The search behind [`PhaseSearch`](@ref): branch and bound over the phases of the
ReLUs for ``\\min \\|x^0 - image\\|_2^2``.

It stands here because no open solver proves these programs well: HiGHS takes no
quadratic objective together with integers, and SCIP had proven nothing after a
minute where this search is done in seconds. It has three parts:

 * `pixel_program.jl`: an interior-point method for convex quadratic programs in
   the pixels, and the Lagrangian [`dual_bound`](@ref) that is valid whatever the
   method's tolerances were;
 * `relaxation.jl`: the quadratic program of a node of the tree;
 * `phase_search.jl`: the tree.

Nothing else of the package depends on it, except that [`solve_region`](@ref)
solves the quadratic program of one linear region with the first part.
"""
module QuadraticSearch

import HiGHS
import JuMP
import LinearAlgebra

import JuMP.MOI as MOI

import ..ReLUOpt: region_optimum, run_search

using ..ReLUOpt:
    L2,
    REGION_SECONDS,
    InputRegion,
    LinearBounds,
    NetworkFormulation,
    PerturbationProblem,
    PhaseSearch,
    PreActivationBounds,
    SearchOptions,
    Triangle,
    activation_pattern,
    add_change!,
    add_conditions!,
    add_network!,
    check,
    clip,
    conclude,
    farthest_objective,
    improving_region,
    linear_bounds,
    linear_combination,
    lowered,
    objective_of,
    pre_activation_bounds,
    solve_region,
    solver_model,
    unstable_count

include("pixel_program.jl")
include("relaxation.jl")
include("phase_search.jl")

end # module QuadraticSearch
