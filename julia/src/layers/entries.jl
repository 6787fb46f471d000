"""The types of layers by the names that files use."""
const LAYERS = Dict{String,Type{<:Layer}}(
    "dense" => Dense,
    "conv2d" => Conv2d,
    "max-pool2d" => MaxPool2d,
    "average-pool2d" => AveragePool2d,
    "scale" => Scale,
    "leaky-relu" => LeakyReLU,
    "permute" => Permute,
    "chain" => Chain,
)

"""What files say of a layer besides its arrays: its kind and its settings."""
entry(layer::Layer) = merge(settings(layer), Dict{String,Any}("kind" => kind(layer)))

"""Type and settings of the layer that an entry of a file tells."""
function read_entry(entry)
    name = entry isa AbstractDict ? get(entry, "kind", nothing) : nothing
    if !(name isa AbstractString && haskey(LAYERS, name))
        throw(
            InputError(
                "architecture layers: expected a kind of each, one of " *
                "$(join(sort!(collect(keys(LAYERS))), ", ")), found " *
                first(repr(name === nothing ? entry : name), 80),
            ),
        )
    end
    own = Dict{String,Any}(key => value for (key, value) in entry if key != "kind")
    return LAYERS[name], own
end

"""The layer of these settings and arrays, none of which may be unknown."""
function build_layer(type::Type{<:Layer}, given::AbstractDict, arrays::AbstractDict)
    layer = build(type, given, arrays)
    known = settings(layer)
    for name in keys(given)
        if !haskey(known, name)
            expected = isempty(known) ? "none" : join(sort!(collect(keys(known))), ", ")
            throw(
                InputError(
                    "layer $(kind(layer)): expected settings $expected, found " *
                    repr(name),
                ),
            )
        end
    end
    return layer
end
