"""
    Conv2d(weight, bias, windows; groups = 1)

A convolution: the same weights in every window (a *cross-correlation*, as in PyTorch
and ONNX),

```math
a_{o,y,x} = b_o + \\sum_{c,h,w} W_{o,c,h,w}\\,
v_{c,\\; y\\,stride + h\\,dilation - padding,\\; \\dots}
```

with zeros for padding, and o and c of the same group. `weight` has the size
`(channels out, channels in / groups, kernel rows, kernel columns)`, `bias` one entry for
each channel, and the kernel of the [`Windows`](@ref) is that of the weights.

Throws a `DimensionMismatch` if the sizes do not fit, and an `ArgumentError` for NaN,
infinite entries or groups that do not divide the channels.
"""
struct Conv2d <: Layer
    weight::Array{Float64,4}
    bias::Vector{Float64}
    windows::Windows
    groups::Int

    function Conv2d(
        weight::AbstractArray{<:Real,4},
        bias::AbstractVector{<:Real},
        windows::Windows;
        groups::Integer = 1,
    )
        channels, out = windows.input_shape[1], size(weight, 1)
        if groups < 1 || channels % groups != 0
            throw(
                ArgumentError(
                    "groups: expected a divisor of $channels channels, found $groups",
                ),
            )
        end
        expected = (channels ÷ groups, windows.kernel...)
        if size(weight)[2:end] != expected
            throw(
                DimensionMismatch(
                    "weight: expected size (channels out, $(join(expected, ", "))), " *
                    "found $(size(weight))",
                ),
            )
        elseif out == 0 || out % groups != 0 || length(bias) != out
            throw(
                DimensionMismatch(
                    "bias: expected one entry for each of $out channels, in $groups " *
                    "groups, found $(length(bias))",
                ),
            )
        end
        require_finite("weight", weight)
        require_finite("bias", bias)
        return new(weight, bias, windows, groups)
    end
end

input_size(layer::Conv2d) = input_size(layer.windows)
output_size(layer::Conv2d) = length(layer.bias) * prod(output_sides(layer.windows))

"""Call `f(output, input, weight)` for every weight in every window."""
function _each_weight(f, layer::Conv2d)
    numbers = entry_numbers(layer.windows)
    _, inputs, rows, columns = size(layer.weight)
    outputs = size(layer.weight, 1) ÷ layer.groups
    windows = CartesianIndices(axes(numbers)[3:4])
    for o in axes(layer.weight, 1), (i, window) in enumerate(windows)
        before = (o - 1) ÷ outputs * inputs
        output = (o - 1) * length(windows) + i
        for c in 1:inputs, h in 1:rows, w in 1:columns
            number = numbers[w, h, window, before+c]
            number > 0 && f(output, number, layer.weight[o, c, h, w])
        end
    end
    return
end

_bias_of_outputs(layer::Conv2d) =
    repeat(layer.bias; inner = prod(output_sides(layer.windows)))

function (layer::Conv2d)(x::AbstractVector{<:Real})
    result = _bias_of_outputs(layer)
    _each_weight(layer) do output, input, weight
        result[output] += weight * x[input]
        return
    end
    return result
end

function lower(layer::Conv2d)
    outputs, inputs, weights = Int[], Int[], Float64[]
    _each_weight(layer) do output, input, weight
        push!(outputs, output)
        push!(inputs, input)
        push!(weights, weight)
        return
    end
    matrix = sparse(outputs, inputs, weights, output_size(layer), input_size(layer))
    return AffineMap[SparseAffine(matrix, _bias_of_outputs(layer))]
end

kind(::Conv2d) = "conv2d"
tensors(layer::Conv2d) = ["weight" => layer.weight, "bias" => layer.bias]
tensor_names(::Type{Conv2d}, ::AbstractDict) = ["weight", "bias"]

function settings(layer::Conv2d)
    return merge(settings(layer.windows), Dict{String,Any}("groups" => layer.groups))
end

function build(::Type{Conv2d}, settings::AbstractDict, tensors::AbstractDict)
    weight, bias = shaped(tensors, "weight", Val(4)), shaped(tensors, "bias", Val(1))
    groups = only(whole_numbers("groups", (get(settings, "groups", nothing),), Val(1), 1))
    return Conv2d(weight, bias, read_windows(settings); groups)
end
