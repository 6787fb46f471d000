"""
    Layer

A piecewise-linear map of vectors: [`Dense`](@ref), [`Conv2d`](@ref),
[`MaxPool2d`](@ref), [`AveragePool2d`](@ref), [`Scale`](@ref), [`LeakyReLU`](@ref),
[`Permute`](@ref) or a [`Chain`](@ref) of these. A layer is a function of one vector,
or of the columns of a matrix; images are vectors in row-major order, channel by
channel.

Another layer is a type with methods for vectors, `input_size`, `output_size`,
[`lower`](@ref), [`kind`](@ref), [`settings`](@ref), [`tensors`](@ref),
[`tensor_names`](@ref) and [`build`](@ref), and one line in `LAYERS`. Its rows in programs
are those of what it lowers to, unless [`add_layer!`](@ref) has a method of its own.
"""
abstract type Layer end

function (layer::Layer)(x::AbstractMatrix{<:Real})
    result = Matrix{Float64}(undef, output_size(layer), size(x, 2))
    for (j, column) in enumerate(eachcol(x))
        result[:, j] = layer(column)
    end
    return result
end

"""
    lower(layer)

The affine maps, with a ReLU between every two of them, that a [`Layer`](@ref) is
equal to. They are those of the Python package, neuron by neuron, so that bounds of the
one are bounds of the other; here they are sparse.
"""
function lower end

"""What a layer lowers to behind the affine map `last`, without a ReLU between."""
function lower_behind(layer::Layer, last)
    maps = collect(AffineMap, lower(layer))
    maps[1] = composed(maps[1], last)
    return maps
end

"""The layers that a layer consists of, without a ReLU between them."""
parts(layer::Layer) = Layer[layer]

"""
    kind(layer)

The name of a kind of [`Layer`](@ref) in files.
"""
function kind end

"""
    settings(layer)

What determines a [`Layer`](@ref) besides its arrays, as files say it.
"""
settings(::Layer) = Dict{String,Any}()

"""
    tensors(layer)

The arrays of a [`Layer`](@ref), pairs of the name in files and the array.
"""
tensors(::Layer) = Pair{String,Array{Float64}}[]

"""
    tensor_names(type, settings)

Names of the arrays that make a [`Layer`](@ref) of this type and these settings.
"""
tensor_names(::Type{<:Layer}, ::AbstractDict) = String[]

"""
    build(type, settings, tensors)

The [`Layer`](@ref) of the settings and arrays of a file. Throws an
[`InputError`](@ref), `ArgumentError` or `DimensionMismatch` if they make none.
"""
function build end

"""The array of a file, which must have `N` axes."""
function shaped(tensors::AbstractDict, name::String, ::Val{N}) where {N}
    array = tensors[name]
    if ndims(array) != N
        throw(
            InputError("$name: expected $N dimensions, found shape $(size(array))"),
        )
    end
    return Array{Float64,N}(array)
end

function require_finite(name::String, array::AbstractArray{<:Real})
    bad = count(!isfinite, array)
    if bad > 0
        throw(
            ArgumentError(
                "$name: expected finite numbers, found $bad NaN or infinite entries",
            ),
        )
    end
    return
end
