"""
    worst_case(network, image, label, eps; norm = Inf, box, kwargs...)
    worst_case(network, region, label; objective = nothing, fooled = nothing, kwargs...)

The input of a region at which the network is most wrong about `label` (the label d),
proven to be so. Returns a [`WorstCaseResult`](@ref) whose `bound` is an upper bound:

```math
\\max_{x^0 \\in region} \\max_{t \\ne d} x_t - x_d
\\quad\\text{or}\\quad
\\max_{x^0 \\in region} c^\\top x^K \\ \\text{s.t.}\\ \\exists k: x_d \\le s\\, x_k
```

## Arguments

 * `network`, `image`, `label`, `eps`, `norm`, `box`, `region`, `optimizer`,
   `formulation`, `bounds` and the keywords of [`SearchOptions`](@ref): as for
   [`verify`](@ref).
 * `objective`: `nothing` for the largest misclassification ``\\max_t x_t - x_d``, a
   label `t` for ``x_t - x_d``, or a vector ``c`` with one factor for each logit; the
   largest logit of `t` has the unit vector.
 * `fooled`: `nothing`, or a share ``s``: only inputs with ``x_d \\le s\\, x_k`` for some
   label ``k`` count. It goes with a vector as `objective`.

## Errors

Those of [`verify`](@ref), and an `ArgumentError` for a label as `objective` that is
`label` or none, and for `fooled` without a vector.

## Example

```jldoctest
julia> using ReLUOpt

julia> layer = ReLUOpt.Dense([1.0 0.0; 0.0 1.0], [0.0, 0.0]);

julia> network = ReLUNetwork([layer, layer]);

julia> result = worst_case(network, [1.0, 0.2], 0, 0.5; norm = 1);

julia> result.status, round(result.objective; digits = 6)
(ReLUOpt.SolveStatus.OPTIMAL, -0.3)

julia> result = worst_case(network, [0.8, 0.6], 0, 0.2; objective = [0.0, 1.0], fooled = 0.95);

julia> result.target, round(result.objective; digits = 6)
(1, 0.8)
```
"""
function worst_case(
    network::ReLUNetwork,
    region::InputRegion,
    label::Integer;
    objective::Union{Nothing,Integer,AbstractVector{<:Real}} = nothing,
    fooled::Union{Nothing,Real} = nothing,
    optimizer = HiGHS.Optimizer,
    formulation::AbstractFormulation = BigM(),
    bounds::Union{AbstractBoundingMethod,PreActivationBounds} = LinearBounds(),
    kwargs...,
)
    alternatives = _worst_alternatives(network, label, objective, fooled)
    problem = RegionProblem(network, region, alternatives)
    options = SearchOptions(; kwargs...)
    return worst_case(problem; optimizer, formulation, bounds, options)
end

function worst_case(network::ReLUNetwork, box::Box, label::Integer; kwargs...)
    return worst_case(network, InputRegion(box), label; kwargs...)
end

function worst_case(
    network::ReLUNetwork,
    image::AbstractArray{<:Real},
    label::Integer,
    eps::Real;
    norm::Union{Real,AbstractNorm} = Inf,
    box::Box = unit_box(input_size(network)),
    kwargs...,
)
    region = ball_region(network, image, eps, norm, box)
    return worst_case(network, region, label; kwargs...)
end

function worst_case(problem::RegionProblem; options::SearchOptions, settings...)
    search = solve_region_problem(problem; decides = false, options, settings...)
    return region_result(search, _maximum_status(search, options))
end

function _worst_alternatives(network, label, ::Nothing, fooled)
    _refuse_share(fooled)
    return misclassifications(network, label)
end

function _worst_alternatives(network, label, target::Integer, fooled)
    _refuse_share(fooled)
    _check_label(target, output_size(network))
    if target == label
        throw(ArgumentError("objective: expected a label other than $label"))
    end
    return filter(a -> a.target == target, misclassifications(network, label))
end

function _worst_alternatives(network, label, form::AbstractVector, fooled)
    classes = output_size(network)
    _check_label(label, classes)
    if !all(isfinite, form)
        throw(ArgumentError("objective: expected finite factors, found $form"))
    end
    goal = LogitConditions(reshape(collect(form), 1, :), [0.0])
    fooled === nothing && return [Alternative(label, goal)]
    if !(isfinite(fooled) && fooled >= 0)
        throw(ArgumentError("fooled: expected a share >= 0, found $fooled"))
    end
    return map(0:(classes-1)) do k
        row = zeros(1, classes)
        row[k+1] += fooled
        row[label+1] -= 1
        return Alternative(k, goal, LogitConditions(row, [0.0]))
    end
end

function _refuse_share(fooled)
    if fooled !== nothing
        throw(ArgumentError("fooled: expected with a vector as objective, found none"))
    end
    return
end

function _maximum_status(search::RegionSearch, options::SearchOptions)
    objective, bound = best_value(search), proven_value(search)
    if search.contradicted
        return SolveStatus.NUMERICAL
    elseif objective == -Inf
        return bound == -Inf ? SolveStatus.INFEASIBLE : SolveStatus.TIME_LIMIT
    elseif relative_gap(objective, bound) <= options.gap
        return SolveStatus.OPTIMAL
    end
    return SolveStatus.FEASIBLE
end
