"""
    Dense(weight, bias)

A fully connected affine layer `a = weight * x + bias`, with `weight` of size
`(n_out, n_in)` and `bias` of length `n_out`, both stored as `Float64`.

Throws a `DimensionMismatch` if the sizes do not fit, and an `ArgumentError` if the
layer is empty or an entry is NaN or infinite.
"""
struct Dense <: Layer
    weight::Matrix{Float64}
    bias::Vector{Float64}

    function Dense(weight::AbstractMatrix{<:Real}, bias::AbstractVector{<:Real})
        if isempty(weight)
            throw(
                ArgumentError(
                    "weight: expected a non-empty matrix (out x in), found " *
                    "size $(size(weight))",
                ),
            )
        elseif length(bias) != size(weight, 1)
            throw(
                DimensionMismatch(
                    "bias: expected length $(size(weight, 1)), found " *
                    "$(length(bias))",
                ),
            )
        end
        require_finite("weight", weight)
        require_finite("bias", bias)
        return new(Matrix{Float64}(weight), Vector{Float64}(bias))
    end
end

input_size(layer::Dense) = size(layer.weight, 2)
output_size(layer::Dense) = size(layer.weight, 1)

(layer::Dense)(x::AbstractVector{<:Real}) = layer.weight * x .+ layer.bias
(layer::Dense)(x::AbstractMatrix{<:Real}) = layer.weight * x .+ layer.bias

lower(layer::Dense) = AffineMap[layer]

"""Row `i` of the matrix of an affine map, as a vector of all its entries."""
weight_row(layer::Dense, i::Int) = layer.weight[i, :]

kind(::Dense) = "dense"
tensors(layer::Dense) = ["weight" => layer.weight, "bias" => layer.bias]
tensor_names(::Type{Dense}, ::AbstractDict) = ["weight", "bias"]

function build(::Type{Dense}, ::AbstractDict, tensors::AbstractDict)
    return Dense(shaped(tensors, "weight", Val(2)), shaped(tensors, "bias", Val(1)))
end

"""
    SparseAffine(weight, bias)

The affine map `a = weight * x + bias` of a sparse matrix: what convolutions, pools
and scales lower to. `rows` is the matrix with rows as columns, so that one row is
found in the time that it has entries.
"""
struct SparseAffine <: Layer
    weight::SparseMatrixCSC{Float64,Int}
    rows::SparseMatrixCSC{Float64,Int}
    bias::Vector{Float64}

    function SparseAffine(
        weight::SparseMatrixCSC{Float64,Int},
        bias::AbstractVector{<:Real},
    )
        require_finite("weight", nonzeros(weight))
        require_finite("bias", bias)
        return new(weight, permutedims(weight), bias)
    end
end

"""What layers lower to."""
const AffineMap = Union{Dense,SparseAffine}

input_size(layer::SparseAffine) = size(layer.weight, 2)
output_size(layer::SparseAffine) = size(layer.weight, 1)

(layer::SparseAffine)(x::AbstractVector{<:Real}) = layer.weight * x .+ layer.bias

lower(layer::SparseAffine) = AffineMap[layer]
weight_row(layer::SparseAffine, i::Int) = Vector(layer.rows[:, i])

# Files have no sparse matrices; nobody but a lowered network has such layers.
kind(::SparseAffine) = "dense"
tensors(layer::SparseAffine) = tensors(Dense(Matrix(layer.weight), layer.bias))

"""The affine map of a matrix, sparse or not."""
affine_map(weight::SparseMatrixCSC, bias) = SparseAffine(weight, bias)
affine_map(weight::Matrix, bias) = Dense(weight, bias)

"""The one affine map that `second` behind `first` is."""
function composed(second::AffineMap, first::AffineMap)
    return affine_map(
        second.weight * first.weight,
        second.weight * first.bias + second.bias,
    )
end
