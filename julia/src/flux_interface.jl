"""
    export_safetensors(path, chain; input_shape, name, class_names, recipe,
                       test_accuracy)

Write a trained `Flux.Chain` to a safetensors file that [`load_network`](@ref)
and the Python package read. Needs Flux to be loaded.

The chain consists of `Dense` layers with `relu` between them and no activation
(`identity`) after the last one; `Flux.flatten` and functions that do nothing at
inference (`Dropout`) may stand in between. `Conv` layers are written as the
dense layers they are equal to; they need `input_shape = (width, height,
channels)`, the size of one input of the chain. `MaxPool` is no affine layer and
is refused.

Inputs of the chain must be in the order that the network shall read: Flux
flattens an array column by column, so train on `images[column, row]` (as
MLDatasets gives them) to get row-major pixels.
"""
function export_safetensors end

"""
    flux_chain(network)

The `Flux.Chain` of `Dense` layers that a [`ReLUNetwork`](@ref) is, with
`Float32` weights. Needs Flux to be loaded.
"""
function flux_chain end
