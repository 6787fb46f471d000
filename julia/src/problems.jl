"""
    PerturbationProblem(network, image, target; norm = 1, margin, box)

The smallest change of `image` that makes `network` answer `target`:

```math
\\min_{x^0 \\in box} \\|x^0 - image\\| \\quad\\text{s.t.}\\quad C x^K \\ge d
```

where the [`LogitConditions`](@ref) ``(C, d)`` come from `margin` (or are given
in its place). Labels count from 0. `image` is a vector of pixels or anything
that [`flat_image`](@ref) takes.
"""
struct PerturbationProblem{N<:AbstractNorm}
    network::ReLUNetwork
    image::Vector{Float64}
    target::Int
    norm::N
    conditions::LogitConditions
    box::Box
end

function PerturbationProblem(
    network::ReLUNetwork,
    image::AbstractArray{<:Real},
    target::Integer;
    norm::Union{Real,AbstractNorm} = 1,
    margin::Union{AbstractMargin,LogitConditions} = RelativeMargin(0.2),
    box::Box = unit_box(input_size(network)),
)
    x = _checked_image(network, image)
    _check_image_in_box(x, box)
    _check_label(target, output_size(network))
    wanted = conditions(margin, target, output_size(network))
    _check_columns(wanted, network)
    chosen = convert(AbstractNorm, norm)
    return PerturbationProblem(network, x, Int(target), chosen, wanted, box)
end

function _check_image_in_box(x::Vector{Float64}, box::Box)
    if length(box.lower) != length(x)
        throw(
            DimensionMismatch(
                "box: expected $(length(x)) bounds (one for each input), found " *
                "$(length(box.lower))",
            ),
        )
    elseif violation(box, x) > 0
        throw(
            ArgumentError(
                "image: expected values inside the box, found one " *
                "$(violation(box, x)) outside",
            ),
        )
    end
    return
end

function _check_columns(wanted::LogitConditions, network::ReLUNetwork)
    if size(wanted.matrix, 2) != output_size(network)
        throw(
            DimensionMismatch(
                "conditions: expected $(output_size(network)) columns (one " *
                "for each logit), found $(size(wanted.matrix, 2))",
            ),
        )
    end
    return
end

function _checked_image(network::ReLUNetwork, image::AbstractArray{<:Real})
    x = flat_image(image)
    if length(x) != input_size(network)
        throw(
            DimensionMismatch(
                "image: expected $(input_size(network)) pixels, found " *
                "$(length(x))",
            ),
        )
    elseif !all(isfinite, x)
        throw(ArgumentError("image: expected finite values, found NaN or infinity"))
    end
    return x
end

"""Objective of the input `x0`."""
function objective_of(problem::PerturbationProblem, x0::AbstractVector)
    return change_objective(problem.norm, x0 - problem.image)
end

"""Smallest slack of the conditions at the input `x0`."""
function smallest_slack(problem::PerturbationProblem, x0::AbstractVector)
    return minimum(slack(problem.conditions, forward(problem.network, x0)))
end

"""
Inputs that are at least as near to the image as an incumbent with the given
objective.
"""
function improving_region(problem::PerturbationProblem, objective::Real)
    # Rounding must not cut off the incumbent itself.
    radius = change_length(problem.norm, objective) * (1 + 1e-9) + 1e-12
    return InputRegion(problem.box, problem.norm, problem.image, radius)
end

"""Objective of the farthest corner of the box; a bound above it is a proof that
no image meets the conditions."""
function farthest_objective(problem::PerturbationProblem{L2})
    box, image = problem.box, problem.image
    return sum(abs2, max.(box.upper - image, image - box.lower))
end

function check(problem::PerturbationProblem, x0::AbstractVector{<:Real})
    logits = forward(problem.network, x0)
    predicted = argmax(logits) - 1
    others = deleteat!(copy(logits), problem.target + 1)
    lead = logits[problem.target+1] - maximum(others; init = -Inf)
    margin = minimum(slack(problem.conditions, logits); init = Inf)
    tolerance = CONDITION_TOLERANCE * max(1.0, maximum(abs, logits))
    outside = violation(problem.box, x0)
    failures = String[]
    if !all(isfinite, x0)
        push!(failures, "the image holds NaN or infinity")
    elseif outside > BOX_TOLERANCE
        push!(failures, "the image leaves its box by $outside")
    end
    if !(lead > 0)
        push!(
            failures,
            "the network answers $predicted, not $(problem.target) (lead $lead)",
        )
    end
    if !(margin >= -tolerance)
        push!(failures, "a margin condition is violated by $(-margin)")
    end
    return Certificate(
        isempty(failures),
        failures,
        predicted,
        objective_of(problem, x0),
        margin,
        lead,
        outside,
        logits,
    )
end
