"""More parts than this are no chain that anybody has."""
const MAX_PARTS = 100

"""
    Chain(parts...)

Several layers one after the other, without a ReLU between them: a pool and the layer
behind it, a convolution and its batch normalisation. A chain in a chain is one chain.

Throws an `ArgumentError` without parts, and a `DimensionMismatch` if they do not fit.
"""
struct Chain <: Layer
    parts::Vector{Layer}

    function Chain(given::Layer...)
        found = Layer[part for layer in given for part in parts(layer)]
        if !(0 < length(found) <= MAX_PARTS)
            throw(
                ArgumentError(
                    "chain: expected 1 to $MAX_PARTS layers, found $(length(found))",
                ),
            )
        end
        for i in 2:length(found)
            expected, inputs = output_size(found[i-1]), input_size(found[i])
            if expected != inputs
                throw(
                    DimensionMismatch(
                        "chain: expected $expected inputs of $(kind(found[i])), " *
                        "found $inputs",
                    ),
                )
            end
        end
        return new(found)
    end
end

parts(layer::Chain) = layer.parts
input_size(layer::Chain) = input_size(first(layer.parts))
output_size(layer::Chain) = output_size(last(layer.parts))

function (layer::Chain)(x::AbstractVector{<:Real})
    return foldl((values, part) -> part(values), layer.parts; init = x)
end

function lower(layer::Chain)
    maps = collect(AffineMap, lower(first(layer.parts)))
    for part in layer.parts[2:end]
        append!(maps, lower_behind(part, pop!(maps)))
    end
    return maps
end

function add_layer!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    layer::Chain,
    place::Place{T},
) where {T}
    for part in layer.parts
        add_layer!(model, added, part, place)
    end
    return
end

kind(::Chain) = "chain"
settings(layer::Chain) = Dict{String,Any}("parts" => entry.(layer.parts))

function tensors(layer::Chain)
    return Pair{String,Array{Float64}}[
        "$(i - 1).$name" => array for (i, part) in enumerate(layer.parts) for
        (name, array) in tensors(part)
    ]
end

function tensor_names(::Type{Chain}, settings::AbstractDict)
    return String[
        "$(i - 1).$name" for (i, (type, own)) in enumerate(_read_parts(settings)) for
        name in tensor_names(type, own)
    ]
end

function build(::Type{Chain}, settings::AbstractDict, tensors::AbstractDict)
    layers = map(enumerate(_read_parts(settings))) do (i, (type, own))
        names = tensor_names(type, own)
        return build_layer(type, own, Dict(n => tensors["$(i - 1).$n"] for n in names))
    end
    return Chain(layers...)
end

"""Type and settings of every part; chains of files do not hold chains."""
function _read_parts(settings::AbstractDict)
    entries = get(settings, "parts", nothing)
    if !(entries isa AbstractVector && 0 < length(entries) <= MAX_PARTS)
        throw(
            InputError(
                "parts: expected a list of 1 to $MAX_PARTS, found " *
                first(repr(entries), 80),
            ),
        )
    end
    found = read_entry.(entries)
    if any(((type, _),) -> type === Chain, found)
        throw(
            InputError("parts: expected layers of other kinds, found a chain in a chain"),
        )
    end
    return found
end
