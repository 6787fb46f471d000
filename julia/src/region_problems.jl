"""
    Alternative(target, goal, conditions)

One way to be wrong, by the label `target`: as much as the smallest slack of `goal`,
where `conditions` hold; both are [`LogitConditions`](@ref).
"""
struct Alternative
    target::Int
    goal::LogitConditions
    conditions::LogitConditions
end

function Alternative(target::Integer, goal::LogitConditions)
    none = LogitConditions(zeros(0, size(goal.matrix, 2)), zeros(0))
    return Alternative(Int(target), goal, none)
end

"""
    RegionProblem(network, region, alternatives)

The input of an [`InputRegion`](@ref) at which the best of some [`Alternative`](@ref)s
``i`` is as good as possible:

```math
\\max_{x^0 \\in region}\\ \\max_i\\ \\min_r (C_i x^K - d_i)_r
\\quad\\text{s.t.}\\quad A_i x^K \\ge b_i
```

Throws a `DimensionMismatch` where sizes do not fit, and an `ArgumentError` for a
center outside the box or a radius that is no number `>= 0`.
"""
struct RegionProblem{N<:AbstractNorm}
    network::ReLUNetwork
    region::InputRegion{N}
    alternatives::Vector{Alternative}

    function RegionProblem(
        network::ReLUNetwork,
        region::InputRegion{N},
        alternatives::Vector{Alternative},
    ) where {N<:AbstractNorm}
        _check_image_in_box(_checked_image(network, region.center), region.box)
        if !(region.radius >= 0)
            throw(
                ArgumentError("radius: expected a number >= 0, found $(region.radius)"),
            )
        end
        for alternative in alternatives
            _check_columns(alternative.goal, network)
            _check_columns(alternative.conditions, network)
        end
        return new{N}(network, region, alternatives)
    end
end

"""The ball of a question: radius `eps` around `image`, cut by `box`."""
function ball_region(
    network::ReLUNetwork,
    image::AbstractArray{<:Real},
    eps::Real,
    norm::Union{Real,AbstractNorm},
    box::Box,
)
    x = _checked_image(network, image)
    if !(isfinite(eps) && eps >= 0)
        throw(ArgumentError("eps: expected a finite radius >= 0, found $eps"))
    end
    return InputRegion(box, convert(AbstractNorm, norm), x, Float64(eps))
end

"""
    misclassifications(network, label)

One [`Alternative`](@ref) ``x_t - x_d`` for every label ``t`` but ``d``.

Throws an `ArgumentError` if there is no such label, or no other.
"""
function misclassifications(network::ReLUNetwork, label::Integer)
    classes = output_size(network)
    _check_label(label, classes)
    if classes < 2
        throw(ArgumentError("network: expected at least two classes, found one"))
    end
    return map(filter(!=(label), 0:(classes-1))) do target
        row = zeros(1, classes)
        row[target+1], row[label+1] = 1.0, -1.0
        return Alternative(target, LogitConditions(row, [0.0]))
    end
end

"""What `alternative` gives at `logits`; `-Inf` where its conditions do not hold."""
function value_of(alternative::Alternative, logits::AbstractVector{<:Real})
    met = minimum(slack(alternative.conditions, logits); init = Inf)
    met >= -logit_tolerance(logits) || return -Inf
    return minimum(slack(alternative.goal, logits))
end

function check(
    problem::RegionProblem,
    alternative::Alternative,
    x0::AbstractVector{<:Real},
)
    logits = forward(problem.network, x0)
    others = deleteat!(copy(logits), alternative.target + 1)
    outside = violation(problem.region, x0)
    objective = value_of(alternative, logits)
    failures = String[]
    if !all(isfinite, x0) || !all(isfinite, logits)
        push!(failures, "the input or its logits hold NaN or infinity")
    elseif !(outside <= BOX_TOLERANCE)
        push!(failures, "the input leaves its region by $outside")
    elseif !(objective > -Inf)
        push!(failures, "the conditions do not hold")
    end
    return Certificate(
        isempty(failures),
        failures,
        argmax(logits) - 1,
        objective,
        minimum(slack(alternative.conditions, logits); init = Inf),
        logits[alternative.target+1] - maximum(others; init = -Inf),
        outside,
        logits,
    )
end

"""Steps of [`ascend`](@ref): each costs a forward and a backward pass."""
const ASCENT_STEPS = 30

"""
    ascend(problem, alternative)

A good input for one alternative by linear maximisation in turns: towards the input
of the region that is best for the gradient, in steps of ``2 / (k + 2)``. Source:
Frank & Wolfe (1956), An algorithm for quadratic programming. `nothing` if no input
was seen at which the conditions hold.
"""
function ascend(problem::RegionProblem, alternative::Alternative)
    network, region = problem.network, problem.region
    x, best, value = clip(region, region.center), nothing, -Inf
    for k in 0:ASCENT_STEPS
        logits = forward(network, x)
        found = value_of(alternative, logits)
        if found > value
            best, value = x, found
        end
        wanted = found > -Inf ? alternative.goal : alternative.conditions
        worst = argmin(slack(wanted, logits))
        g = gradient(network, x, wanted.matrix[worst, :])
        iszero(g) && break
        x = clip(region, x + 2 / (k + 2) * (linear_maximiser(region, g) - x))
    end
    return best
end

"""
An upper bound of an alternative over the region, from pre-activation bounds: minus
infinity where they rule its conditions out.
"""
function linear_bound(
    problem::RegionProblem,
    alternative::Alternative,
    bounds::PreActivationBounds,
)
    tolerance = logit_tolerance(forward(problem.network, problem.region.center))
    if _largest_slack(problem, alternative.conditions, bounds) < -tolerance
        return -Inf
    end
    return _largest_slack(problem, alternative.goal, bounds)
end

function _largest_slack(problem, wanted::LogitConditions, bounds::PreActivationBounds)
    network, known = problem.network, (bounds.lower, bounds.upper)
    last, K = network.affine_layers[end], length(network.affine_layers)
    return minimum(axes(wanted.matrix, 1); init = Inf) do r
        row = wanted.matrix[r, :]
        c, constant = last.weight' * row, row' * last.bias - wanted.rhs[r]
        return constant +
               _back_substituted_maximum(network, K, c, known, problem.region)
    end
end
