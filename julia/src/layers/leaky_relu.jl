"""
    LeakyReLU(size, slope = 0.01)

``\\max(v, \\alpha v)`` of each of `size` values, for a slope ``\\alpha`` from 0 to 1.

In programs it is ``x - \\alpha s`` of the ReLU ``v = x - s``: one phase for each value.
It lowers to the ReLUs of both sides, ``v^+ - \\alpha (-v)^+``.

Throws an `ArgumentError` for a size or slope out of range.
"""
struct LeakyReLU <: Layer
    size::Int
    slope::Float64

    function LeakyReLU(size::Integer, slope::Real = 0.01)
        if !(0 < size <= MAX_LENGTH)
            throw(ArgumentError("size: expected a number of values, found $size"))
        elseif !(0 <= slope <= 1)
            throw(ArgumentError("slope: expected 0 to 1, found $slope"))
        end
        return new(size, slope)
    end
end

input_size(layer::LeakyReLU) = layer.size
output_size(layer::LeakyReLU) = layer.size

(layer::LeakyReLU)(x::AbstractVector{<:Real}) = ifelse.(x .> 0, x, layer.slope .* x)

function lower(layer::LeakyReLU)
    n = 1:layer.size
    eye = sparse(n, n, ones(layer.size))
    return AffineMap[
        SparseAffine([eye; -eye], zeros(2 * layer.size)),
        SparseAffine([eye -layer.slope * eye], zeros(layer.size)),
    ]
end

function add_layer!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    layer::LeakyReLU,
    place::Place{T},
) where {T}
    k, n = place.relus + 1, layer.size
    # The neurons of the lowered network are v and -v.
    L, U = added.bounds.lower[k], added.bounds.upper[k]
    low, high = _limits_behind_pools(
        added.formulation,
        added,
        place.values,
        max.(L[1:n], -U[(n+1):end]),
        min.(U[1:n], -L[(n+1):end]),
    )
    triples = [
        add_relu!(model, added.formulation, added, v, low[i], high[i], "[$k,$i]") for
        (i, v) in enumerate(place.values)
    ]
    x, s, z = first.(triples), getindex.(triples, 2), last.(triples)
    push!(added.x, [x; s])
    push!(added.s, [s; x])
    push!(added.z, [z; one(T) .- z])
    slope = convert(T, layer.slope)
    place.values = x .- slope .* s
    place.relus += 1
    place.parts += 1
    return
end

kind(::LeakyReLU) = "leaky-relu"

function settings(layer::LeakyReLU)
    return Dict{String,Any}("size" => layer.size, "slope" => layer.slope)
end

function build(::Type{LeakyReLU}, settings::AbstractDict, ::AbstractDict)
    size, slope = get(settings, "size", nothing), get(settings, "slope", nothing)
    if !(slope isa Real) || slope isa Bool
        throw(InputError("slope: expected a number, found $(first(repr(slope), 80))"))
    end
    return LeakyReLU(only(whole_numbers("size", (size,), Val(1), 1)), slope)
end
