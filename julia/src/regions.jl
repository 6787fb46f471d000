"""
    AbstractNorm

How the size of a change `delta = x0 - image` is measured: [`L1`](@ref),
[`L2`](@ref) or [`LInf`](@ref). Functions that take a `norm` also take the
numbers `1`, `2` and `Inf`.
"""
abstract type AbstractNorm end

"""`sum(abs, delta)`, a mixed-integer *linear* program."""
struct L1 <: AbstractNorm end

"""`sum(abs2, delta)`, a mixed-integer *quadratic* program."""
struct L2 <: AbstractNorm end

"""`maximum(abs, delta)`, a mixed-integer *linear* program."""
struct LInf <: AbstractNorm end

Base.convert(::Type{AbstractNorm}, norm::AbstractNorm) = norm

function Base.convert(::Type{AbstractNorm}, norm::Real)
    norm == 1 && return L1()
    norm == 2 && return L2()
    norm == Inf && return LInf()
    throw(ArgumentError("norm: expected 1, 2 or Inf, found $norm"))
end

"""
    change_objective(norm, delta)

What the program minimises: ``\\sum |\\delta_i|``, ``\\sum \\delta_i^2`` or
``\\max |\\delta_i|``.
"""
change_objective(::L1, delta::AbstractVector) = sum(abs, delta)
change_objective(::L2, delta::AbstractVector) = sum(abs2, delta)
change_objective(::LInf, delta::AbstractVector) = maximum(abs, delta)

"""Length of the change whose objective is given (the root of it for L2)."""
change_length(::AbstractNorm, objective::Real) = objective
change_length(::L2, objective::Real) = sqrt(max(objective, 0.0))

"""The objective of a change of a given length."""
objective_of_length(::AbstractNorm, length::Real) = length
objective_of_length(::L2, length::Real) = length^2

"""
    Box(lower, upper)

Inputs allowed by `lower .<= x0 .<= upper`.

Throws a `DimensionMismatch` for vectors of two lengths, and an `ArgumentError` for
bounds that are not finite or cross.
"""
struct Box
    lower::Vector{Float64}
    upper::Vector{Float64}

    function Box(lower::AbstractVector{<:Real}, upper::AbstractVector{<:Real})
        if length(lower) != length(upper)
            throw(
                DimensionMismatch(
                    "box: expected two vectors of one length, found " *
                    "$(length(lower)) and $(length(upper))",
                ),
            )
        elseif !all(isfinite, lower) || !all(isfinite, upper)
            throw(ArgumentError("box: expected finite bounds, found NaN or infinity"))
        elseif any(lower .> upper)
            i = findfirst(lower .> upper)
            throw(
                ArgumentError(
                    "box: expected lower <= upper, found $(lower[i]) > " *
                    "$(upper[i]) at input $i",
                ),
            )
        end
        return new(lower, upper)
    end
end

"""
    unit_box(n)

The [`Box`](@ref) ``[0, 1]^n``: the images of `n` pixels.
"""
unit_box(n::Integer) = Box(zeros(n), ones(n))

"""How far `point` lies outside the box, in its worst coordinate."""
function violation(box::Box, point::AbstractVector{<:Real})
    outside = max.(box.lower .- point, point .- box.upper, 0.0)
    return maximum(outside; init = 0.0)
end

"""The point of the box that is nearest to `point`."""
clip(box::Box, point::AbstractVector) = clamp.(point, box.lower, box.upper)

"""
    InputRegion(box, [norm, center, radius])

The inputs over which bounds must hold:
``\\{x : \\|x - center\\| \\le radius\\} \\cap box``. L2 radii are lengths, not
squares. `center` must lie in the box.
"""
struct InputRegion{N<:AbstractNorm}
    box::Box
    norm::N
    center::Vector{Float64}
    radius::Float64
end

function InputRegion(box::Box)
    return InputRegion(box, LInf(), (box.lower + box.upper) / 2, Inf)
end

"""
    linear_maximum(region, w)

A number that no ``w^\\top x`` with ``x`` in the region exceeds: the maximum
itself, up to rounding, for a box (by signs), for an L1 ball in a box (a
fractional knapsack) and for an L2 ball in a box (by Lagrangian duality, every
multiplier of which gives a valid bound).
"""
function linear_maximum(region::InputRegion, w::AbstractVector{<:Real})
    box, center = region.box, region.center
    isfinite(region.radius) || return _box_maximum(box, w)
    # Along w, coordinate i can gain at most `abs(w[i]) * room[i]`.
    room = ifelse.(w .> 0, box.upper .- center, center .- box.lower)
    return w' * center + _ball_gain(region.norm, abs.(w), room, region.radius)
end

function _box_maximum(box::Box, w::AbstractVector{<:Real})
    total = 0.0
    for i in eachindex(w)
        total += w[i] > 0 ? w[i] * box.upper[i] : w[i] * box.lower[i]
    end
    return total
end

"""The most that a step of the ball gains along `slope >= 0`."""
function _ball_gain(norm::AbstractNorm, slope, room, radius)
    return slope' * _ball_step(norm, slope, room, radius)
end

function _ball_gain(::L2, slope, room, radius)
    t = _filling(slope, room, radius)
    isfinite(t) || return slope' * room
    t > 0 || return 0.0
    # Lagrangian bound with multiplier 1 / (2 t), valid for every t > 0.
    gain, size = 0.0, 0.0
    for i in eachindex(slope)
        step = min(room[i], t * slope[i])
        gain += slope[i] * step
        size += step^2
    end
    return gain + (radius^2 - size) / (2 * t)
end

"""The step of the ball, at most `room`, that gains most along `slope >= 0`."""
function _ball_step(::L1, slope, room, radius)
    step, budget = zero(slope), radius
    for i in sortperm(slope; rev = true)
        step[i] = min(room[i], budget)
        budget -= step[i]
        budget <= 0 && break
    end
    return step
end

_ball_step(::LInf, slope, room, radius) = min.(room, radius)

function _ball_step(::L2, slope, room, radius)
    t = _filling(slope, room, radius)
    isfinite(t) || return ifelse.(slope .> 0, room, 0.0)
    return min.(room, t .* slope)
end

"""
The `t` for which `min.(room, t * slope)` has the length `radius`: it gains most
within an L2 ball. Infinite where the ball does not matter.
"""
function _filling(slope, room, radius)
    # From t = 0 on, each round fixes the coordinates that hit their room and fills the
    # rest of the ball with the others; t only grows, so this ends.
    t, saturated = 0.0, -1
    while true
        budget, rest, count = radius^2, 0.0, 0
        for i in eachindex(slope)
            if room[i] <= t * slope[i]
                budget -= room[i]^2
                count += 1
            else
                rest += slope[i]^2
            end
        end
        # All coordinates at their room.
        rest <= 0 && return Inf
        if budget <= 0 || count == saturated
            return t
        end
        t, saturated = sqrt(budget / rest), count
    end
end

"""
    linear_maximiser(region, w)

A point of the region at which ``w^\\top x`` is as large as it gets there, up to
rounding.
"""
function linear_maximiser(region::InputRegion, w::AbstractVector{<:Real})
    box, center = region.box, region.center
    isfinite(region.radius) || return ifelse.(w .> 0, box.upper, box.lower)
    room = ifelse.(w .> 0, box.upper .- center, center .- box.lower)
    step = _ball_step(region.norm, abs.(w), room, region.radius)
    return clip(region, center + sign.(w) .* step)
end

"""How far `point` lies outside the region: of the box or of the ball, the larger."""
function violation(region::InputRegion, point::AbstractVector{<:Real})
    isfinite(region.radius) || return violation(region.box, point)
    length = change_length(region.norm, change_objective(region.norm, point - region.center))
    return max(violation(region.box, point), length - region.radius)
end

"""
A point of the region on the way from its center to `point`, clipped to the box: the
last one, up to rounding.
"""
function clip(region::InputRegion, point::AbstractVector{<:Real})
    inside, center = clip(region.box, point), region.center
    outside = violation(region, inside)
    outside > 0 || return inside
    share = region.radius / (region.radius + outside)
    cut = 4 * eps(share)
    while share > 0
        candidate = clip(region.box, center + share * (inside - center))
        violation(region, candidate) > 0 || return candidate
        share -= cut
        cut *= 2
    end
    return copy(center)
end
