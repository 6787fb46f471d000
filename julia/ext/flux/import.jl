# From Flux: layers of a chain as ours. Flux keeps an image as [column, row, channel], the
# first index fastest, which is our order of values: channel by channel, row by row.

"""Our layers as they are found, and the size of the values there (as in Flux)."""
mutable struct Found
    layers::Vector{ReLUOpt.Layer}   # a ReLU between every two of them
    parts::Vector{ReLUOpt.Layer}    # since the last ReLU
    shape::Union{Nothing,Tuple{Vararg{Int}}}
end

"""The layers of a chain that reads inputs of this size; throws for any other chain."""
function imported_layers(chain::Flux.Chain, shape, rows_first::Bool)
    found = Found(ReLUOpt.Layer[], ReLUOpt.Layer[], shape)
    rows_first && push!(found.parts, _rows_first(shape))
    for layer in _flat(chain)
        import_layer!(found, layer)
    end
    isempty(found.layers) && isempty(found.parts) && _refuse("no layer at all")
    isempty(found.parts) && _refuse("a relu after the last layer")
    _close!(found)
    return found.layers
end

function _refuse(found)
    throw(
        ArgumentError(
            "chain: expected Dense, Conv, MaxPool, MeanPool, BatchNorm, flatten or " *
            "Dropout layers with relu, leakyrelu or no activation, and none after the " *
            "last one, found $found",
        ),
    )
end

_flat(chain::Flux.Chain) = reduce(vcat, map(_flat, collect(chain.layers)); init = Any[])
_flat(layer) = Any[layer]

"""The layer whose parts were found since the last ReLU."""
function _close!(found::Found)
    parts = found.parts
    push!(found.layers, length(parts) == 1 ? only(parts) : ReLUOpt.Chain(parts...))
    found.parts = ReLUOpt.Layer[]
    return
end

"""Shape of an input in the file: rows before columns, channels first if there are more."""
function file_shape(shape, rows_first::Bool)
    shape === nothing && return Int[]
    length(shape) == 1 && return [only(shape)]
    width, height = rows_first ? (shape[2], shape[1]) : shape[1:2]
    return [filter(>(1), collect(reverse(shape[3:end]))); height; width]
end

"""
Inputs in our order for a chain that reads arrays [row, column, channel]. This is the
only place where an order is changed.
"""
function _rows_first(shape)
    if shape === nothing || length(shape) < 2
        throw(
            ArgumentError(
                "rows_first: expected an input_shape (rows, columns[, channels]), " *
                "found $shape",
            ),
        )
    end
    axes = (2, 1, 3:length(shape)...)
    # Ours as [column, row, channel]; the number of each, as the chain's array holds it.
    sizes = shape[collect(axes)]
    numbers = reshape(collect(1:prod(shape)), sizes)
    return ReLUOpt.Permute(vec(permutedims(numbers, axes)))
end

import_layer!(found::Found, layer) = _refuse(string(layer isa Function ? layer : typeof(layer)))

# What does nothing at inference.
import_layer!(::Found, ::typeof(identity)) = nothing
import_layer!(::Found, ::Flux.Dropout) = nothing
import_layer!(::Found, ::Flux.AlphaDropout) = nothing

function import_layer!(found::Found, ::typeof(Flux.flatten))
    found.shape === nothing || (found.shape = (prod(found.shape),))
    return
end

function import_layer!(found::Found, ::typeof(Flux.relu))
    if isempty(found.parts)
        isempty(found.layers) && _refuse("a relu before the first layer")
        return  # a ReLU of a ReLU is the same
    end
    _close!(found)
    return
end

function import_layer!(found::Found, ::typeof(Flux.leakyrelu))
    return _take_leaky!(found, 0.01)
end

# x -> leakyrelu(x, slope), as Base.Fix2(leakyrelu, slope)
function import_layer!(found::Found, layer::Base.Fix2{typeof(Flux.leakyrelu)})
    return _take_leaky!(found, Float64(layer.x))
end

function _take_leaky!(found::Found, slope)
    if isempty(found.parts)
        isempty(found.layers) && _refuse("a leakyrelu before the first layer")
        return  # behind a ReLU it does nothing
    end
    size = ReLUOpt.output_size(found.parts[end])
    push!(found.parts, ReLUOpt.LeakyReLU(size, slope))
    return
end

function import_layer!(found::Found, layer::Flux.Dense)
    rows, columns = size(layer.weight)
    if found.shape !== nothing && prod(found.shape) != columns
        _refuse("a Dense of $columns inputs behind values of size $(found.shape)")
    end
    push!(found.parts, ReLUOpt.Dense(layer.weight, _bias(layer.bias, rows)))
    found.shape = (rows,)
    return import_layer!(found, layer.σ)
end

_bias(bias::Bool, n::Int) = zeros(n)
_bias(bias::AbstractVector, ::Int) = bias

function import_layer!(found::Found, layer::Flux.Conv)
    # Flux turns kernels around (a convolution), and has them as [column, row, in, out].
    kernel = reverse(_plane(layer.weight, 2); dims = (1, 2))
    weight = permutedims(kernel, (4, 3, 2, 1))
    spatial = size(kernel)[1:2]
    windows = _windows(found, spatial, layer.stride, layer.pad, layer.dilation)
    bias = _bias(layer.bias, size(weight, 1))
    return _take_spatial!(
        found,
        ReLUOpt.Conv2d(weight, bias, windows; layer.groups),
        size(weight, 1),
        ndims(layer.weight) - 2,
        layer.σ,
    )
end

function import_layer!(found::Found, layer::Flux.MaxPool)
    windows = _pool_windows(found, layer)
    made = ReLUOpt.MaxPool2d(windows)
    return _take_spatial!(found, made, windows.input_shape[1], length(layer.k), identity)
end

# Flux counts padding as zeros.
function import_layer!(found::Found, layer::Flux.MeanPool)
    windows = _pool_windows(found, layer)
    made = ReLUOpt.AveragePool2d(windows; counts_padding = true)
    return _take_spatial!(found, made, windows.input_shape[1], length(layer.k), identity)
end

# One window for the whole image.
function import_layer!(found::Found, ::Flux.GlobalMaxPool)
    return import_layer!(found, Flux.MaxPool(_image_sides(found)))
end

function import_layer!(found::Found, ::Flux.GlobalMeanPool)
    return import_layer!(found, Flux.MeanPool(_image_sides(found)))
end

function _image_sides(found::Found)
    if found.shape === nothing
        _refuse("a pool without `input_shape` (width, height, channels)")
    end
    return found.shape[1:(end-1)]
end

function _pool_windows(found::Found, layer)
    return _windows(found, layer.k, layer.stride, layer.pad, map(_ -> 1, layer.k))
end

function _take_spatial!(found::Found, layer::ReLUOpt.Layer, channels, axes, activation)
    rows, columns = ReLUOpt.output_sides(layer.windows)
    found.shape = axes == 1 ? (columns, channels) : (columns, rows, channels)
    push!(found.parts, layer)
    return import_layer!(found, activation)
end

"""An array with two axes of windows, the second of length 1 if there is one only."""
function _plane(array::AbstractArray, others::Int)
    axes = ndims(array) - others
    axes == 2 && return array
    axes == 1 || _refuse("windows of $axes dimensions")
    return reshape(array, size(array, 1), 1, size(array)[2:end]...)
end

"""Windows of Flux's sizes, columns before rows; those of one axis lie in one row."""
function _windows(found::Found, kernel, stride, pad, dilation)
    shape = found.shape
    if shape === nothing
        _refuse("a Conv or pool without `input_shape` (width, height, channels)")
    end
    axes = length(stride)
    if !(axes in (1, 2)) || length(shape) != axes + 1
        _refuse("windows of $axes dimensions behind values of size $shape")
    end
    # With one axis, the second is a single row.
    two(values) = axes == 2 ? (values[2], values[1]) : (1, values[1])
    left, right, top, bottom = axes == 2 ? pad : (pad..., 0, 0)
    return ReLUOpt.Windows(
        (shape[end], two(shape)...),
        two(kernel);
        stride = two(stride),
        padding = (top, left, bottom, right),
        dilation = two(dilation),
    )
end

function import_layer!(found::Found, layer::Flux.BatchNorm)
    layer.track_stats || _refuse("a BatchNorm without tracked statistics")
    found.shape === nothing && (found.shape = (layer.chs,))
    scale = 1 ./ sqrt.(Float64.(layer.σ²) .+ Float64(layer.ϵ))
    layer.γ === nothing || (scale = scale .* layer.γ)
    shift = -scale .* layer.μ
    layer.β === nothing || (shift = shift .+ layer.β)
    if found.shape[end] != layer.chs
        _refuse(
            "a BatchNorm of $(layer.chs) channels behind values of size $(found.shape)",
        )
    end
    # Channels are the last index.
    inner = prod(found.shape) ÷ layer.chs
    push!(found.parts, ReLUOpt.Scale(repeat(scale; inner), repeat(shift; inner)))
    return import_layer!(found, layer.λ)
end

"""How far logits may differ, relative to the largest: both are computed in Float64."""
const AGREEMENT = 1e-6

"""Refuse a network whose logits at random inputs are not those of its chain."""
function require_agreement(network::ReLUNetwork, chain::Flux.Chain, shape, rows_first::Bool)
    exact = Flux.testmode!(Flux.f64(deepcopy(chain)))
    size_in = ReLUOpt.input_size(network)
    for seed in 1:5
        # No package for random numbers is needed for numbers without a pattern.
        values = [mod(sin(seed + 12.9898 * i) * 43758.5453, 2.0) - 1 for i in 1:size_in]
        axes = _reads_arrays(chain, shape) ? shape : (size_in,)
        ours = forward_of(network, values, shape, rows_first)
        theirs = vec(exact(reshape(values, axes..., 1)))
        if length(theirs) != length(ours) ||
           !(maximum(abs, theirs - ours) <= AGREEMENT * max(1, maximum(abs, theirs)))
            throw(
                ArgumentError(
                    "chain: expected the logits of Flux at random inputs, " *
                    "$(first(theirs, 3))..., found $(first(ours, 3))...",
                ),
            )
        end
    end
    return
end

"""Our logits of the values that the chain reads in its own order."""
function forward_of(network::ReLUNetwork, values, shape, rows_first::Bool)
    rows_first || return ReLUOpt.forward(network, values)
    image = reshape(values, shape)
    return ReLUOpt.forward(network, vec(permutedims(image, (2, 1, 3:length(shape)...))))
end

"""Whether a chain begins with a layer that reads arrays, not vectors."""
function _reads_arrays(chain::Flux.Chain, shape)
    shape === nothing && return false
    passive = (identity,)
    layers = filter(l -> !(l in passive || l isa Flux.Dropout), _flat(chain))
    return !(first(layers) isa Flux.Dense)
end
