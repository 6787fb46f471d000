module ReLUOptFluxExt

import Flux
import ReLUOpt

using ReLUOpt: NetworkMetadata, ReLUNetwork

include("flux/import.jl")
include("flux/export.jl")

function ReLUOpt.export_safetensors(
    path::AbstractString,
    chain::Flux.Chain;
    input_shape = nothing,
    rows_first::Bool = false,
    name::AbstractString = first(splitext(basename(path))),
    class_names = String[],
    recipe = Dict{String,Any}(),
    test_accuracy = nothing,
)
    shape = input_shape === nothing ? nothing : Tuple(Int.(input_shape))
    layers = imported_layers(chain, shape, rows_first)
    metadata = NetworkMetadata(;
        name = String(name),
        input_shape = file_shape(shape, rows_first),
        class_names = String.(class_names),
        recipe = Dict{String,Any}(string(k) => v for (k, v) in pairs(recipe)),
        test_accuracy = test_accuracy === nothing ? nothing : Float64(test_accuracy),
    )
    network = ReLUNetwork(layers, metadata)
    require_agreement(network, chain, shape, rows_first)
    ReLUOpt.save_network(path, network)
    return network
end

function ReLUOpt.flux_chain(network::ReLUNetwork)
    layers = Any[]
    for (k, layer) in enumerate(network.layers)
        append!(layers, reduce(vcat, exported.(ReLUOpt.parts(layer))))
        k < length(network.layers) && push!(layers, Flux.relu)
    end
    return Flux.Chain(fused(layers)...)
end

end # module ReLUOptFluxExt
