"""
    AveragePool2d(windows; counts_padding = false)

The mean entry of every window of every channel; with `counts_padding`, padding counts
as zeros, otherwise not at all.

Throws an `ArgumentError` for a window of padding only, unless padding counts.
"""
struct AveragePool2d <: Layer
    windows::Windows
    counts_padding::Bool

    function AveragePool2d(windows::Windows; counts_padding::Bool = false)
        counts_padding || require_entries(windows)
        return new(windows, counts_padding)
    end
end

"""Refuse windows that hold nothing but padding."""
function require_entries(windows::Windows)
    if any(isempty, window_entries(windows))
        throw(
            ArgumentError(
                "padding: expected an entry in every window, found one of padding",
            ),
        )
    end
    return
end

input_size(layer::AveragePool2d) = input_size(layer.windows)

function output_size(layer::AveragePool2d)
    return layer.windows.input_shape[1] * prod(output_sides(layer.windows))
end

"""What the sum of a window is divided by."""
function _divisor(layer::AveragePool2d, entries::Vector{Int})
    return layer.counts_padding ? prod(layer.windows.kernel) : length(entries)
end

function (layer::AveragePool2d)(x::AbstractVector{<:Real})
    return map(window_entries(layer.windows)) do entries
        return sum(Float64, x[entries]; init = 0.0) / _divisor(layer, entries)
    end
end

function lower(layer::AveragePool2d)
    windows = window_entries(layer.windows)
    outputs = [i for (i, entries) in enumerate(windows) for _ in entries]
    weights = [1.0 / _divisor(layer, entries) for entries in windows for _ in entries]
    inputs = reduce(vcat, windows; init = Int[])
    matrix = sparse(outputs, inputs, weights, output_size(layer), input_size(layer))
    return AffineMap[SparseAffine(matrix, zeros(output_size(layer)))]
end

kind(::AveragePool2d) = "average-pool2d"

function settings(layer::AveragePool2d)
    own = Dict{String,Any}("counts_padding" => layer.counts_padding)
    return merge(settings(layer.windows), own)
end

function build(::Type{AveragePool2d}, settings::AbstractDict, ::AbstractDict)
    counts_padding = flag(settings, "counts_padding")
    return AveragePool2d(read_windows(settings); counts_padding)
end
