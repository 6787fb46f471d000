module ReLUOptFluxExt

import Flux
import ReLUOpt

using ReLUOpt: Dense, NetworkMetadata, ReLUNetwork

function ReLUOpt.export_safetensors(
    path::AbstractString,
    chain::Flux.Chain;
    input_shape = nothing,
    name::AbstractString = first(splitext(basename(path))),
    class_names = String[],
    recipe = Dict{String,Any}(),
    test_accuracy = nothing,
)
    layers = _dense_layers(chain, input_shape)
    shape = Int[]
    if input_shape !== nothing
        # Flux counts the fastest index first, the file (as Python) last.
        shape = reverse(collect(Int, input_shape))
        length(shape) > 1 && first(shape) == 1 && popfirst!(shape)
    end
    metadata = NetworkMetadata(;
        name = String(name),
        input_shape = shape,
        class_names = String.(class_names),
        recipe = Dict{String,Any}(string(k) => v for (k, v) in pairs(recipe)),
        test_accuracy = test_accuracy === nothing ? nothing : Float64(test_accuracy),
    )
    network = ReLUNetwork(layers, metadata)
    ReLUOpt.save_network(path, network)
    return network
end

function ReLUOpt.flux_chain(network::ReLUNetwork)
    last = length(network.layers)
    layers = map(enumerate(network.layers)) do (k, layer)
        activation = k < last ? Flux.relu : identity
        return Flux.Dense(
            Float32.(layer.weight),
            Float32.(layer.bias),
            activation,
        )
    end
    return Flux.Chain(layers...)
end

"""The affine layers of a chain; throws unless ReLUs alternate with them."""
function _dense_layers(chain::Flux.Chain, input_shape)
    layers, activations = Dense[], Any[]
    shape = input_shape === nothing ? nothing : Tuple(Int.(input_shape))
    for layer in _flat(chain)
        if layer === Flux.relu
            isempty(activations) && _refuse("a relu before the first layer")
            activations[end] = Flux.relu
        elseif _is_passive(layer)
            continue
        else
            dense, activation, shape = _affine(layer, shape)
            push!(layers, dense)
            push!(activations, activation)
        end
    end
    isempty(layers) && _refuse("no layer at all")
    for (k, activation) in enumerate(activations)
        expected = k < length(activations) ? Flux.relu : identity
        if activation !== expected
            _refuse("activation $activation after layer $k, not $expected")
        end
    end
    return layers
end

function _refuse(found)
    throw(
        ArgumentError(
            "chain: expected Dense or Conv layers with relu between them and " *
            "no activation after the last one, found $found",
        ),
    )
end

_flat(chain::Flux.Chain) = reduce(vcat, map(_flat, collect(chain.layers)); init = Any[])
_flat(layer) = Any[layer]

# What does nothing at inference; arrays are flattened everywhere anyway.
_is_passive(layer) = layer === Flux.flatten || layer === identity
_is_passive(::Flux.Dropout) = true

function _affine(layer::Flux.Dense, shape)
    bias = layer.bias === false ? zeros(size(layer.weight, 1)) : layer.bias
    return Dense(layer.weight, bias), layer.σ, nothing
end

# A convolution is an affine map: its columns are its answers to unit vectors.
function _affine(layer::Flux.Conv, shape)
    if shape === nothing
        _refuse("a Conv without `input_shape` (width, height, channels)")
    elseif length(shape) != ndims(layer.weight) - 1
        _refuse("a Conv for $(ndims(layer.weight) - 1) dimensions and shape $shape")
    end
    bias = layer.bias === false ? false : Float64.(layer.bias)
    linear = Flux.Conv(
        identity,
        Float64.(layer.weight),
        bias,
        layer.stride,
        layer.pad,
        layer.dilation,
        layer.groups,
    )
    n = prod(shape)
    offset = linear(zeros(shape..., 1))
    units = reshape([Float64(i == j) for i in 1:n, j in 1:n], shape..., n)
    answers = linear(units) .- offset
    return Dense(reshape(answers, :, n), vec(offset)), layer.σ, size(offset)[1:end-1]
end

_affine(layer, shape) = _refuse(string(typeof(layer)))

end # module ReLUOptFluxExt
