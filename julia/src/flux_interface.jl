"""
    export_safetensors(path, chain; input_shape, rows_first = false, name,
                       class_names, recipe, test_accuracy)

Write a trained `Flux.Chain` to a safetensors file that [`load_network`](@ref)
and the Python package read. Needs Flux to be loaded.

The chain consists of `Dense`, `Conv`, `MaxPool`, `MeanPool`, global pool and
`BatchNorm` layers (the last ones as at inference), `relu`, `leakyrelu` (with another
slope as `Base.Fix2(leakyrelu, slope)`), `Flux.flatten` and `Dropout`, with no `relu`
after the last layer. Layers of images need `input_shape = (width, height, channels)`,
the size of one input of the chain.

Flux keeps an image as `[column, row, channel]` and flattens it with the first index
fastest, which is the row-major order of this package. A chain that was trained on
arrays `[row, column, channel]` needs `rows_first = true` (and its `input_shape` in that
order): the file's network then begins with a [`ReLUOpt.Permute`](@ref), so that it reads
row-major images as any other.

The network is compared with the chain, in `Float64` and test mode, on inputs without a
pattern before it is written.

Throws an `ArgumentError` for other layers, and if the two do not agree.
"""
function export_safetensors end

"""
    flux_chain(network)

The `Flux.Chain` that a [`ReLUNetwork`](@ref) is, with `Float32` weights. It reads
vectors, or matrices with one input a column; layers of images stand between a reshape
and a flatten. A layer that Flux lacks becomes the `Dense` layers that it lowers to.
Needs Flux to be loaded.

Throws an `ArgumentError` for a max pool with dilation.
"""
function flux_chain end
