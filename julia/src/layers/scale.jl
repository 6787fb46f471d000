"""
    Scale(scale, shift)

`scale .* v .+ shift`: normalisation by mean and deviation, batch normalisation.

Throws a `DimensionMismatch` for vectors of two lengths, and an `ArgumentError` for empty
ones and entries that are not finite.
"""
struct Scale <: Layer
    scale::Vector{Float64}
    shift::Vector{Float64}

    function Scale(scale::AbstractVector{<:Real}, shift::AbstractVector{<:Real})
        if isempty(scale)
            throw(ArgumentError("scale: expected entries, found none"))
        elseif length(scale) != length(shift)
            throw(
                DimensionMismatch(
                    "scale: expected two vectors of one length, found " *
                    "$(length(scale)) and $(length(shift))",
                ),
            )
        end
        require_finite("scale", scale)
        require_finite("shift", shift)
        return new(scale, shift)
    end
end

input_size(layer::Scale) = length(layer.scale)
output_size(layer::Scale) = length(layer.scale)

(layer::Scale)(x::AbstractVector{<:Real}) = layer.scale .* x .+ layer.shift

function lower(layer::Scale)
    n = 1:input_size(layer)
    return AffineMap[SparseAffine(sparse(n, n, layer.scale), layer.shift)]
end

kind(::Scale) = "scale"
tensors(layer::Scale) = ["scale" => layer.scale, "shift" => layer.shift]
tensor_names(::Type{Scale}, ::AbstractDict) = ["scale", "shift"]

function build(::Type{Scale}, ::AbstractDict, tensors::AbstractDict)
    return Scale(shaped(tensors, "scale", Val(1)), shaped(tensors, "shift", Val(1)))
end
