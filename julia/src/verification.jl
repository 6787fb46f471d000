"""
    verify(network, image, label, eps; norm = Inf, box, kwargs...)
    verify(network, region, label; kwargs...)

Whether the network answers `label` for every input of a ball around `image` that is
cut by `box`, or of any [`InputRegion`](@ref) or [`Box`](@ref): the sign of

```math
\\max_{x^0 \\in region}\\ \\max_{t \\ne d}\\ x_t - x_d
```

A tie counts against robustness: `ROBUST` means that the logit of the label d is
strictly larger than every other one throughout, by more than solvers' tolerances
(1e-6 of the logits' size). Returns a [`VerificationResult`](@ref), whose `status` is
a [`Verdict`](@ref). Source: Tjeng, Xiao & Tedrake (2019), Evaluating robustness of
neural networks with mixed integer programming.

## Arguments

 * `network`: a [`ReLUNetwork`](@ref).
 * `image`: ``n_0`` pixels inside the box, or an array (see [`flat_image`](@ref)).
 * `label`: the label that shall be answered, counted from 0.
 * `eps`: radius of the ball; for `norm = 2` the length of the change, not its square.
 * `norm`: `1`, `2` or `Inf`. An L2 ball is a quadratic constraint, for which SCIP and
   Gurobi have to be the optimizer.
 * `box`: inputs allowed, ``[0, 1]`` for every pixel by default.
 * `optimizer`, `formulation`: as for [`minimal_perturbation`](@ref).
 * `bounds`: a bounding method ([`LinearBounds`](@ref)`()` by default), or
   [`PreActivationBounds`](@ref) that hold for every input of the region.
 * all keywords of [`SearchOptions`](@ref). With HiGHS and one thread, a program ends
   as soon as its sign is known.

## Errors

 * `DimensionMismatch` where sizes do not fit, `ArgumentError` for a value out of its
   range or an image outside the box.
 * [`UnsupportedProblemError`](@ref) if the optimizer takes no such program.

## Example

```jldoctest
julia> using ReLUOpt

julia> layer = ReLUOpt.Dense([1.0 0.0; 0.0 1.0], [0.0, 0.0]);

julia> network = ReLUNetwork([layer, layer]);

julia> result = verify(network, [1.0, 0.2], 0, 0.3);

julia> result.status, round(result.bound; digits = 6)
(ReLUOpt.Verdict.ROBUST, -0.2)

julia> result = verify(network, [1.0, 0.2], 0, 0.5);

julia> result.status, result.target, result.certificate.predicted
(ReLUOpt.Verdict.NOT_ROBUST, 1, 1)
```
"""
function verify(
    network::ReLUNetwork,
    region::InputRegion,
    label::Integer;
    optimizer = HiGHS.Optimizer,
    formulation::AbstractFormulation = BigM(),
    bounds::Union{AbstractBoundingMethod,PreActivationBounds} = LinearBounds(),
    kwargs...,
)
    problem = RegionProblem(network, region, misclassifications(network, label))
    options = SearchOptions(; kwargs...)
    return verify(problem; optimizer, formulation, bounds, options)
end

function verify(network::ReLUNetwork, box::Box, label::Integer; kwargs...)
    return verify(network, InputRegion(box), label; kwargs...)
end

function verify(
    network::ReLUNetwork,
    image::AbstractArray{<:Real},
    label::Integer,
    eps::Real;
    norm::Union{Real,AbstractNorm} = Inf,
    box::Box = unit_box(input_size(network)),
    kwargs...,
)
    return verify(network, ball_region(network, image, eps, norm, box), label; kwargs...)
end

function verify(problem::RegionProblem; settings...)
    search = solve_region_problem(problem; decides = true, settings...)
    return region_result(search, _verdict(search))
end

"""What a search has decided: by a checked input, or by a bound beyond tolerances."""
function _verdict(search::RegionSearch)
    best_value(search) >= 0 && return Verdict.NOT_ROBUST
    proven_value(search) < -search.tolerance && return Verdict.ROBUST
    return Verdict.UNDECIDED
end
