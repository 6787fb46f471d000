"""
    NetworkMetadata(; name, input_shape, class_names, recipe, test_accuracy)

What a weights file says about its network besides the numbers.

`input_shape` is the shape of one input in row-major (C) order, such as
`(28, 28)`; `class_names` has one name for each logit; `recipe` tells how the
network was trained; `test_accuracy` is a fraction in `[0, 1]` or `nothing`.
"""
Base.@kwdef struct NetworkMetadata
    name::String = "network"
    input_shape::Vector{Int} = Int[]
    class_names::Vector{String} = String[]
    recipe::Dict{String,Any} = Dict{String,Any}()
    test_accuracy::Union{Nothing,Float64} = nothing
end

"""
    ReLUNetwork(layers, metadata = NetworkMetadata())

A feed-forward network with a ReLU between every two layers and none after the
last one: for layers ``k = 1..K``

```math
a^k = W^k x^{k-1} + b^k, \\qquad x^k = \\max(0, a^k)\\ (k < K), \\qquad x^K = a^K
```

where ``x^0`` is the input, ``a^k`` are the *pre-activations* and ``x^K`` the
*logits*. A [`Layer`](@ref) that is not affine lowers itself to affine maps with ReLUs
between them: `affine_layers` are those of all `layers`, and K, ``n_k`` and ``a^k``
count them. Inputs are vectors of length ``n_0``; pixels of an image are in
row-major order (see [`flat_image`](@ref)). Labels count from 0, as in MNIST and
in the Python package: label `d` has logit `x^K[d + 1]`.

A network is a function: `network(x)` are its logits.

Throws a `DimensionMismatch` where a layer does not fit the one before it, or the
metadata do not fit the sizes.

## Example

```jldoctest
julia> using ReLUOpt

julia> network = ReLUNetwork([
           ReLUOpt.Dense([1.0 -1.0], [0.0]),
           ReLUOpt.Dense([2.0;;], [1.0]),
       ]);

julia> network([3.0, 1.0])
1-element Vector{Float64}:
 5.0
```
"""
struct ReLUNetwork
    layers::Vector{Layer}
    metadata::NetworkMetadata
    affine_layers::Vector{AffineMap}

    function ReLUNetwork(
        layers::AbstractVector{<:Layer},
        metadata::NetworkMetadata = NetworkMetadata(),
    )
        if isempty(layers)
            throw(ArgumentError("network: expected at least one layer, found none"))
        end
        for k in 2:length(layers)
            expected, found = output_size(layers[k-1]), input_size(layers[k])
            if expected != found
                throw(
                    DimensionMismatch(
                        "layer $(k - 1): expected $expected inputs (the " *
                        "outputs of layer $(k - 2)), found $found",
                    ),
                )
            end
        end
        return new(
            collect(Layer, layers),
            _completed(metadata, layers),
            reduce(vcat, lower.(layers); init = AffineMap[]),
        )
    end
end

"""Fill in the silent parts of `metadata` and refuse parts that do not fit."""
function _completed(metadata::NetworkMetadata, layers::AbstractVector{<:Layer})
    inputs, outputs = input_size(first(layers)), output_size(last(layers))
    shape = isempty(metadata.input_shape) ? [inputs] : metadata.input_shape
    names = metadata.class_names
    if isempty(names)
        names = string.(0:(outputs-1))
    end
    if prod(shape) != inputs
        throw(
            DimensionMismatch(
                "input_shape: expected a shape of $inputs values, found " *
                "$(Tuple(shape)) ($(prod(shape)) values)",
            ),
        )
    elseif length(names) != outputs
        throw(
            DimensionMismatch(
                "class_names: expected $outputs names, found $(length(names))",
            ),
        )
    end
    return NetworkMetadata(;
        metadata.name,
        input_shape = shape,
        class_names = names,
        metadata.recipe,
        metadata.test_accuracy,
    )
end

"""
    layer_sizes(network)

Number of nodes of every layer, ``(n_0, n_1, ..., n_K)``.
"""
function layer_sizes(network::ReLUNetwork)
    return [input_size(network); output_size.(network.affine_layers)]
end

input_size(network::ReLUNetwork) = input_size(first(network.layers))
output_size(network::ReLUNetwork) = output_size(last(network.layers))

"""
    lowered(network)

The network of its affine maps alone: the same function, in which every ReLU is one
between two layers. A network of such layers is returned as it is.
"""
function lowered(network::ReLUNetwork)
    all(layer -> layer isa AffineMap, network.layers) && return network
    return ReLUNetwork(network.affine_layers, network.metadata)
end

function Base.show(io::IO, network::ReLUNetwork)
    sizes = join(layer_sizes(network), "-")
    print(io, "ReLUNetwork(\"", network.metadata.name, "\", ", sizes, ")")
    return
end

"""
    pre_activations(network, x)

Pre-activations ``a^1, ..., a^K`` of every layer (the last ones are the logits)
for one input `x` of length ``n_0``, or for the columns of a matrix
``(n_0, \\text{batch})``. Computed in `Float64`.

Throws a `DimensionMismatch` if `x` has another number of rows than ``n_0``.
"""
function pre_activations(network::ReLUNetwork, x::AbstractVecOrMat{<:Real})
    _check_input(network, x)
    result = typeof(Array{Float64}(x))[]
    values = Array{Float64}(x)
    for layer in network.affine_layers
        a = layer(values)
        push!(result, a)
        values = max.(a, 0.0)
    end
    return result
end

function _check_input(network::ReLUNetwork, x::AbstractVecOrMat{<:Real})
    if size(x, 1) != input_size(network)
        throw(
            DimensionMismatch(
                "input: expected $(input_size(network)) values, found " *
                "$(size(x, 1))",
            ),
        )
    end
    return
end

"""
    forward(network, x)

Logits ``x^K`` for one input of length ``n_0``, or for the columns of a matrix
``(n_0, \\text{batch})``, as the layers themselves compute them in `Float64`.

Throws a `DimensionMismatch` if `x` has another number of rows than ``n_0``.
"""
function forward(network::ReLUNetwork, x::AbstractVecOrMat{<:Real})
    _check_input(network, x)
    values = first(network.layers)(Array{Float64}(x))
    for layer in network.layers[2:end]
        values = layer(max.(values, 0.0))
    end
    return values
end

(network::ReLUNetwork)(x::AbstractVecOrMat{<:Real}) = forward(network, x)

"""What each part of each layer reads at the input `x`."""
function part_inputs(network::ReLUNetwork, x::AbstractVector{<:Real})
    found, values = Vector{Float64}[], Vector{Float64}(x)
    for (j, layer) in enumerate(network.layers)
        j == 1 || (values = max.(values, 0.0))
        for part in parts(layer)
            push!(found, values)
            values = part(values)
        end
    end
    return found
end

"""
    predict(network, x)

Label (counted from 0) of the largest logit; the lowest label among ties.
"""
function predict(network::ReLUNetwork, x::AbstractVector{<:Real})
    return argmax(forward(network, x)) - 1
end

"""
    activation_pattern(network, x)

Whether each hidden neuron is active (``a > 0``), one `BitVector` for each
hidden layer.
"""
function activation_pattern(network::ReLUNetwork, x::AbstractVector{<:Real})
    return [a .> 0.0 for a in pre_activations(network, x)[1:end-1]]
end

"""
    gradient(network, x, weights)

Gradient of ``w^\\top x^K`` with respect to the input `x`. A neuron with
pre-activation exactly zero counts as inactive.
"""
function gradient(
    network::ReLUNetwork,
    x::AbstractVector{<:Real},
    weights::AbstractVector{<:Real},
)
    pattern = activation_pattern(network, x)
    layers = network.affine_layers
    result = layers[end].weight' * weights
    for k in (length(layers)-1):-1:1
        result = layers[k].weight' * (pattern[k] .* result)
    end
    return result
end

"""
    region_map(network, pattern)

The affine maps that the network is equal to on one linear region: for every
layer `k` a pair `(G, h)` with ``a^k = G x^0 + h`` for every input that has the
activation `pattern`.
"""
function region_map(network::ReLUNetwork, pattern::AbstractVector)
    layers = network.affine_layers
    maps = [(Matrix(layers[1].weight), layers[1].bias)]
    for k in 2:length(layers)
        G, h = maps[end]
        layer, mask = layers[k], pattern[k-1]
        push!(
            maps,
            (layer.weight * (mask .* G), layer.weight * (mask .* h) + layer.bias),
        )
    end
    return maps
end

"""
    flat_image(image)

An image as the vector of pixels that the networks read.

A vector is taken as it is. A matrix `image[row, column]`, as image packages
show it, is read row by row: pixel `(row, column)` of a 28 x 28 image is entry
`28 * (row - 1) + column`. Julia stores matrices column by column, so
`vec(image)` would be wrong; an array with the *column* as first index (as
MLDatasets returns it) is right with `vec`.

```jldoctest
julia> using ReLUOpt

julia> ReLUOpt.flat_image([1.0 2.0; 3.0 4.0])
4-element Vector{Float64}:
 1.0
 2.0
 3.0
 4.0
```
"""
flat_image(image::AbstractArray{<:Real}) = Vector{Float64}(row_major(image))

"""The entries of an array, the last index fastest."""
row_major(array::AbstractVector) = array
row_major(array::AbstractArray{<:Any,N}) where {N} = vec(permutedims(array, N:-1:1))
