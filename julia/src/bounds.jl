"""
    PreActivationBounds(lower, upper)

Bounds `lower[k] .<= a^k .<= upper[k]` of every layer, the logits last. They
become the big-M constants of the program and decide which neurons are *stable*
(`lower >= 0` or `upper <= 0`) and need no binary variable.
"""
struct PreActivationBounds
    lower::Vector{Vector{Float64}}
    upper::Vector{Vector{Float64}}

    function PreActivationBounds(lower::AbstractVector, upper::AbstractVector)
        if length.(lower) != length.(upper)
            throw(
                DimensionMismatch("bounds: expected lower and upper of the same shapes"),
            )
        end
        return new(lower, upper)
    end
end

"""Bounds of the first layers only, all of one `network` for a full one."""
function _check_bounds(network::ReLUNetwork, bounds::PreActivationBounds)
    if length.(bounds.lower) != output_size.(network.affine_layers)
        throw(
            DimensionMismatch(
                "bounds: expected one number for each of " *
                "$(join(output_size.(network.affine_layers), ", ")) nodes, found " *
                "$(join(length.(bounds.lower), ", "))",
            ),
        )
    end
    return
end

"""
    unstable_count(bounds)

Number of unstable hidden neurons: the binary variables of the program.
"""
function unstable_count(bounds::PreActivationBounds)
    hidden = 1:(length(bounds.lower)-1)
    return sum(
        count((bounds.lower[k] .< 0) .& (bounds.upper[k] .> 0)) for k in hidden;
        init = 0,
    )
end

"""Whether some lower bound exceeds its upper bound: the region is empty."""
function Base.isempty(bounds::PreActivationBounds)
    return any(any(l .> u) for (l, u) in zip(bounds.lower, bounds.upper))
end

"""The tighter of two valid bounds, elementwise."""
function Base.intersect(a::PreActivationBounds, b::PreActivationBounds)
    return PreActivationBounds(
        [max.(x, y) for (x, y) in zip(a.lower, b.lower)],
        [min.(x, y) for (x, y) in zip(a.upper, b.upper)],
    )
end

"""
    AbstractBoundingMethod

A way to compute pre-activation bounds: [`IntervalBounds`](@ref),
[`LinearBounds`](@ref), [`BallBounds`](@ref) or
[`OptimizationBounds`](@ref).
"""
abstract type AbstractBoundingMethod end

"""
    IntervalBounds()

Interval arithmetic: each layer takes the best and worst of its inputs one by
one. The first layer is exact over the whole region, ball included.
"""
struct IntervalBounds <: AbstractBoundingMethod end

"""
    LinearBounds()

Linear bounds of every pre-activation, propagated back to the input
(CROWN / DeepPoly: Zhang et al. 2018, Singh et al. 2019) and maximised over the
region, never worse than [`IntervalBounds`](@ref).
"""
struct LinearBounds <: AbstractBoundingMethod end

"""
    BallBounds(inner = LinearBounds())

In [`minimal_perturbation`](@ref): the bounds of `inner` over the ball around
the image whose radius is the incumbent's distance. Anything better than the
incumbent lies in it.
"""
struct BallBounds{M<:AbstractBoundingMethod} <: AbstractBoundingMethod
    inner::M
end

BallBounds() = BallBounds(LinearBounds())

"""
    pre_activation_bounds(method, network, region)

[`PreActivationBounds`](@ref) of `network`, valid for every input of `region`
(an [`InputRegion`](@ref) or a [`Box`](@ref)).

## Example

The two nodes ``y = \\max(5 x_1 - 4 x_2 + 3, 0)`` and
``z = \\max(-2 y + 50, 0)`` with ``x_1 \\in [-10, 10]``, ``x_2 \\in [-5, 5]``:

```jldoctest
julia> using ReLUOpt

julia> network = ReLUNetwork([
           ReLUOpt.Dense([5.0 -4.0], [3.0]),
           ReLUOpt.Dense([-2.0;;], [50.0]),
       ]);

julia> box = ReLUOpt.Box([-10, -5], [10, 5]);

julia> bounds = ReLUOpt.pre_activation_bounds(ReLUOpt.IntervalBounds(), network, box);

julia> bounds.lower, bounds.upper
([[-67.0], [-96.0]], [[73.0], [50.0]])
```
"""
function pre_activation_bounds(
    method::AbstractBoundingMethod,
    network::ReLUNetwork,
    box::Box,
)
    return pre_activation_bounds(method, network, InputRegion(box))
end

function pre_activation_bounds(
    ::IntervalBounds,
    network::ReLUNetwork,
    region::InputRegion,
)
    lower, upper = _first_layer_bounds(network.affine_layers[1], region)
    lowers, uppers = [lower], [upper]
    for layer in network.affine_layers[2:end]
        lower, upper = _interval_step(layer, lower, upper)
        push!(lowers, lower)
        push!(uppers, upper)
    end
    return PreActivationBounds(lowers, uppers)
end

function pre_activation_bounds(
    ::LinearBounds,
    network::ReLUNetwork,
    region::InputRegion,
)
    return linear_bounds(network, region, (k, lower, upper) -> nothing)
end

"""
Linear bounds, with `tighten!(k, lower, upper)` called after each layer: what it
knows besides (fixed phases, bounds of a larger region) helps the layers behind.
"""
function linear_bounds(network::ReLUNetwork, region::InputRegion, tighten!)
    lower, upper = _first_layer_bounds(network.affine_layers[1], region)
    tighten!(1, lower, upper)
    lowers, uppers = [lower], [upper]
    for k in 2:length(network.affine_layers)
        layer = network.affine_layers[k]
        lower, upper = _interval_step(layer, lower, upper)
        for i in 1:output_size(layer)
            row, constant = weight_row(layer, i), layer.bias[i]
            bounds = (lowers, uppers)
            high = _back_substituted_maximum(network, k, row, bounds, region)
            low = _back_substituted_maximum(network, k, -row, bounds, region)
            upper[i] = min(upper[i], high + constant)
            lower[i] = max(lower[i], constant - low)
        end
        tighten!(k, lower, upper)
        push!(lowers, lower)
        push!(uppers, upper)
    end
    return PreActivationBounds(lowers, uppers)
end

function pre_activation_bounds(
    method::BallBounds,
    network::ReLUNetwork,
    region::InputRegion,
)
    return pre_activation_bounds(method.inner, network, region)
end

function _first_layer_bounds(layer::AffineMap, region::InputRegion)
    upper = [
        linear_maximum(region, weight_row(layer, i)) + layer.bias[i] for
        i in 1:output_size(layer)
    ]
    lower = [
        layer.bias[i] - linear_maximum(region, -weight_row(layer, i)) for
        i in 1:output_size(layer)
    ]
    return lower, upper
end

"""Bounds of a layer from those of the pre-activations before it."""
function _interval_step(layer::AffineMap, lower, upper)
    low, high = max.(lower, 0.0), max.(upper, 0.0)
    positive, negative = max.(layer.weight, 0.0), min.(layer.weight, 0.0)
    return (
        positive * low + negative * high + layer.bias,
        positive * high + negative * low + layer.bias,
    )
end

"""
An upper bound of ``c^\\top x^{k-1}`` over the region: every ReLU is replaced by
a line above it (where its coefficient is positive) or below it, layer by layer
down to the input.
"""
function _back_substituted_maximum(network, k, coefficients, bounds, region)
    lowers, uppers = bounds
    c, constant = coefficients, 0.0
    for j in (k-1):-1:1
        c = copy(c)
        for i in eachindex(c)
            l, u = lowers[j][i], uppers[j][i]
            if u <= 0
                c[i] = 0.0
            elseif l < 0
                if c[i] > 0  # x <= u (a - l) / (u - l)
                    constant -= c[i] * u * l / (u - l)
                    c[i] *= u / (u - l)
                elseif u <= -l  # x >= 0; otherwise x >= a, as it is
                    c[i] = 0.0
                end
            end
        end
        layer = network.affine_layers[j]
        constant += c' * layer.bias
        c = layer.weight' * c
    end
    return linear_maximum(region, c) + constant
end
