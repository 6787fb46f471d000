"""
    STRICT_GAP

Logit lead that [`RelativeMargin`](@ref) asks for on top of its ratio. It
excludes ties (an exact tie is no success) and stands far above the 1e-6 to 1e-9
feasibility tolerances of solvers, while trained logits differ by 0.1 to 10.
"""
const STRICT_GAP = 1e-4

"""
    LogitConditions(matrix, rhs)

Linear conditions `matrix * logits .>= rhs` that an answer must meet; `matrix`
has one row for each condition and one column for each logit.
"""
struct LogitConditions
    matrix::Matrix{Float64}
    rhs::Vector{Float64}

    function LogitConditions(
        matrix::AbstractMatrix{<:Real},
        rhs::AbstractVector{<:Real},
    )
        if size(matrix, 1) != length(rhs)
            throw(
                DimensionMismatch(
                    "conditions: expected one right-hand side a row, found " *
                    "$(size(matrix, 1)) rows and $(length(rhs)) of them",
                ),
            )
        end
        return new(matrix, rhs)
    end
end

"""
    slack(conditions, logits)

`matrix * logits - rhs`: all entries are nonnegative when the conditions hold.
"""
function slack(conditions::LogitConditions, logits::AbstractVector{<:Real})
    return conditions.matrix * logits - conditions.rhs
end

"""
    AbstractMargin

By how much the target's logit must lead the others, see
[`RelativeMargin`](@ref), [`BareRelativeMargin`](@ref) and
[`AbsoluteMargin`](@ref).
"""
abstract type AbstractMargin end

"""
    RelativeMargin(fraction = 0.2; strict_gap = STRICT_GAP)

For every label ``j \\ne t``: ``x_t \\ge (1 + fraction) x_j`` and
``x_t \\ge x_j + gap``.

The second condition matters: with negative logits the first alone allows
``x_t < x_j``, and an exact tie is no success.
"""
struct RelativeMargin <: AbstractMargin
    fraction::Float64
    strict_gap::Float64

    function RelativeMargin(fraction::Real = 0.2; strict_gap::Real = STRICT_GAP)
        _check_fraction(fraction)
        if !(isfinite(strict_gap) && strict_gap > 0)
            throw(
                ArgumentError("margin: expected a strict gap > 0, found $strict_gap"),
            )
        end
        return new(fraction, strict_gap)
    end
end

"""
    BareRelativeMargin(fraction = 0.2)

The thesis' condition to the letter: ``x_t \\ge (1 + fraction) x_j`` and nothing
else. It allows images that the network does not classify as the target; such
images are never called a success. Source: Linkola (2023).
"""
struct BareRelativeMargin <: AbstractMargin
    fraction::Float64

    function BareRelativeMargin(fraction::Real = 0.2)
        _check_fraction(fraction)
        return new(fraction)
    end
end

"""
    AbsoluteMargin(kappa)

``x_t \\ge x_j + \\kappa`` for every label ``j \\ne t``, with ``\\kappa > 0`` in
logit units.
"""
struct AbsoluteMargin <: AbstractMargin
    kappa::Float64

    function AbsoluteMargin(kappa::Real)
        if !(isfinite(kappa) && kappa > 0)
            throw(
                ArgumentError(
                    "margin: expected kappa > 0 (0 would end in ties), found " *
                    "$kappa",
                ),
            )
        end
        return new(kappa)
    end
end

function _check_fraction(fraction::Real)
    if !(isfinite(fraction) && fraction >= 0)
        throw(ArgumentError("margin: expected a fraction >= 0, found $fraction"))
    end
    return
end

"""Rows ``x_t - f x_j`` for every ``j \\ne t`` (labels count from 0)."""
function _leads(target::Integer, classes::Integer, factor::Real)
    others = filter(!=(target), 0:(classes-1))
    rows = zeros(length(others), classes)
    for (i, j) in enumerate(others)
        rows[i, j+1] = -factor
        rows[i, target+1] = 1.0
    end
    return rows
end

"""
    conditions(margin, target, classes)

The [`LogitConditions`](@ref) by which label `target` (counted from 0) leads
`classes` logits with a margin.

```jldoctest
julia> using ReLUOpt

julia> ReLUOpt.conditions(AbsoluteMargin(0.5), 1, 3).matrix
2×3 Matrix{Float64}:
 -1.0  1.0   0.0
  0.0  1.0  -1.0
```
"""
function conditions(margin::RelativeMargin, target::Integer, classes::Integer)
    _check_label(target, classes)
    leads = _leads(target, classes, 1.0)
    gaps = fill(margin.strict_gap, classes - 1)
    if iszero(margin.fraction)
        return LogitConditions(leads, gaps)
    end
    ratios = _leads(target, classes, 1.0 + margin.fraction)
    return LogitConditions([ratios; leads], [zeros(classes - 1); gaps])
end

function conditions(margin::BareRelativeMargin, target::Integer, classes::Integer)
    _check_label(target, classes)
    ratios = _leads(target, classes, 1.0 + margin.fraction)
    return LogitConditions(ratios, zeros(classes - 1))
end

function conditions(margin::AbsoluteMargin, target::Integer, classes::Integer)
    _check_label(target, classes)
    return LogitConditions(
        _leads(target, classes, 1.0),
        fill(margin.kappa, classes - 1),
    )
end

conditions(given::LogitConditions, ::Integer, ::Integer) = given

function _check_label(label::Integer, classes::Integer)
    if !(0 <= label < classes)
        throw(
            ArgumentError(
                "label: expected a label from 0 to $(classes - 1), found $label",
            ),
        )
    end
    return
end
