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

function _ball_gain(::L1, slope, room, radius)
    gain, budget = 0.0, radius
    for i in sortperm(slope; rev = true)
        step = min(room[i], budget)
        gain += slope[i] * step
        budget -= step
        budget <= 0 && break
    end
    return gain
end

_ball_gain(::LInf, slope, room, radius) = slope' * min.(room, radius)

function _ball_gain(::L2, slope, room, radius)
    # The maximiser is min(room, t * slope) for the t that fills the ball. From
    # t = 0 on, each round fixes the coordinates that hit their room and fills the
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
        # All coordinates at their room: the ball does not matter.
        rest <= 0 && return slope' * room
        if budget <= 0 || count == saturated
            break
        end
        t, saturated = sqrt(budget / rest), count
    end
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
