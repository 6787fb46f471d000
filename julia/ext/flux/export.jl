# To Flux: our layers as Flux's. Values stand in vectors between them, so that a layer of
# windows is wrapped in a reshape and a flatten.

"""Values as an array [column, row, channel, input]."""
struct AsImages
    shape::NTuple{3,Int}
end

(layer::AsImages)(x::AbstractArray) = reshape(x, layer.shape..., :)

"""Values in another order."""
struct Reordered
    order::Vector{Int}
end

(layer::Reordered)(x::AbstractVecOrMat) = x[layer.order, axes(x)[2:end]...]

"""Any layer, as the dense layers and ReLUs that it lowers to."""
function exported(layer::ReLUOpt.Layer)
    found = Any[]
    for map in ReLUOpt.lower(layer)
        isempty(found) || push!(found, Flux.relu)
        push!(found, Flux.Dense(Matrix{Float32}(map.weight), Float32.(map.bias)))
    end
    return found
end

function exported(layer::ReLUOpt.Scale)
    return Any[Flux.Scale(Float32.(layer.scale), Float32.(layer.shift))]
end

exported(layer::ReLUOpt.Permute) = Any[Reordered(layer.order)]

function exported(layer::ReLUOpt.LeakyReLU)
    return Any[Base.Fix1(broadcast, Base.Fix2(Flux.leakyrelu, Float32(layer.slope)))]
end

function exported(layer::ReLUOpt.Conv2d)
    kernel = reverse(permutedims(layer.weight, (4, 3, 2, 1)); dims = (1, 2))
    windows = layer.windows
    conv = Flux.Conv(
        Float32.(kernel),
        Float32.(layer.bias);
        stride = reverse(windows.stride),
        pad = _flux_padding(windows),
        dilation = reverse(windows.dilation),
        layer.groups,
    )
    return _of_images(windows, conv)
end

exported(layer::ReLUOpt.MaxPool2d) = _of_images(layer.windows, _pool(Flux.MaxPool, layer))

function exported(layer::ReLUOpt.AveragePool2d)
    # Flux counts padding; where it does not count, the mean is a dense layer.
    if layer.counts_padding || _flux_padding(layer.windows) == (0, 0, 0, 0)
        return _of_images(layer.windows, _pool(Flux.MeanPool, layer))
    end
    return invoke(exported, Tuple{ReLUOpt.Layer}, layer)
end

function _pool(make, layer)
    windows = layer.windows
    if windows.dilation != (1, 1)
        throw(
            ArgumentError(
                "dilation: expected (1, 1) in a pool of Flux, found $(windows.dilation)",
            ),
        )
    end
    stride = reverse(windows.stride)
    return make(reverse(windows.kernel); stride, pad = _flux_padding(windows))
end

function _of_images(windows::ReLUOpt.Windows, layer)
    return Any[AsImages(reverse(windows.input_shape)), layer, Flux.flatten]
end

"""Left, right, top and bottom, with what `ceil` adds."""
function _flux_padding(windows::ReLUOpt.Windows)
    top, left, _, _ = windows.padding
    bottom, right = ntuple(Val(2)) do axis
        reach = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
        last = (ReLUOpt.output_sides(windows)[axis] - 1) * windows.stride[axis] + reach
        return max(last - windows.input_shape[1+axis] - windows.padding[axis], 0)
    end
    return (left, right, top, bottom)
end

"""Dense layers and the ReLUs behind them as one layer each."""
function fused(layers::Vector{Any})
    result = Any[]
    for layer in layers
        last_layer = isempty(result) ? nothing : result[end]
        if layer !== Flux.relu
            push!(result, layer)
        elseif last_layer isa Flux.Dense && last_layer.σ === identity
            result[end] = Flux.Dense(last_layer.weight, last_layer.bias, Flux.relu)
        else
            push!(result, Base.Fix1(broadcast, Flux.relu))
        end
    end
    return result
end
