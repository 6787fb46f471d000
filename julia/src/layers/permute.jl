"""
    Permute(order)

The same values in another order, such as rows x columns x channels as channels x rows x
columns: value `i` of the output is value `order[i]` of the input, counted from 1 (files
count from 0).

Throws an `ArgumentError` if `order` is no permutation.
"""
struct Permute <: Layer
    order::Vector{Int}

    function Permute(order::AbstractVector{<:Integer})
        if isempty(order) || !isperm(order)
            throw(
                ArgumentError(
                    "order: expected every number once, found $(first(order, 10))...",
                ),
            )
        end
        return new(order)
    end
end

input_size(layer::Permute) = length(layer.order)
output_size(layer::Permute) = length(layer.order)

(layer::Permute)(x::AbstractVector{<:Real}) = Vector{Float64}(x[layer.order])

function lower(layer::Permute)
    n = input_size(layer)
    return AffineMap[SparseAffine(sparse(1:n, layer.order, ones(n)), zeros(n))]
end

kind(::Permute) = "permute"
tensors(layer::Permute) = ["order" => Float64.(layer.order .- 1)]
tensor_names(::Type{Permute}, ::AbstractDict) = ["order"]

function build(::Type{Permute}, ::AbstractDict, tensors::AbstractDict)
    order = shaped(tensors, "order", Val(1))
    if !all(v -> isinteger(v) && 0 <= v < length(order), order)
        throw(InputError("order: expected every number from 0 on once"))
    end
    return Permute(Int.(order) .+ 1)
end
