"""One entry of the input as an affine expression of the model's number type."""
function _affine_entry(::Type{T}, entry::Real) where {T}
    if !isfinite(entry)
        throw(ArgumentError("input: expected finite numbers, found $entry"))
    end
    return Affine{T}(convert(T, entry))
end

function _affine_entry(
    ::Type{T},
    entry::Union{JuMP.GenericVariableRef{T},Affine{T}},
) where {T}
    return convert(Affine{T}, entry)
end

function _affine_entry(::Type{T}, entry) where {T}
    throw(
        ArgumentError(
            "input: expected variables, affine expressions or numbers of a " *
            "model over $T, found one of type $(typeof(entry))",
        ),
    )
end

"""The box that the bounds of the variables give to affine inputs."""
function _input_box(input::Vector{<:Affine})
    for entry in input, (_, variable) in JuMP.linear_terms(entry), upper in (false, true)
        if !isfinite(_variable_limit(variable, upper))
            throw(
                ArgumentError(
                    "input: expected a finite $(upper ? "upper" : "lower") bound of " *
                    "variable $(JuMP.name(variable)), found none: bound it, or " *
                    "give `bounds`",
                ),
            )
        end
    end
    return Box(_known_limits(input)...)
end

"""Bounds of expressions by those of their variables, as far as they have any."""
function _known_limits(values::Vector{<:Affine})
    lower = [_rounded_down(_extreme(v, -1)) for v in values]
    upper = [-_rounded_down(-_extreme(v, 1)) for v in values]
    return lower, upper
end

"""The largest `Float64` that is at most `value`."""
function _rounded_down(value::Real)
    nearest = Float64(value)
    return nearest > value ? prevfloat(nearest) : nearest
end

"""Largest (`sign = 1`) or smallest (`sign = -1`) value of an expression."""
function _extreme(expression::Affine, sign::Int)
    total = JuMP.constant(expression)
    for (coefficient, variable) in JuMP.linear_terms(expression)
        iszero(coefficient) && continue
        total += coefficient * _variable_limit(variable, sign * coefficient > 0)
    end
    return total
end

function _variable_limit(variable::JuMP.GenericVariableRef, upper::Bool)
    if JuMP.is_fixed(variable)
        return JuMP.fix_value(variable)
    elseif upper && JuMP.has_upper_bound(variable)
        return JuMP.upper_bound(variable)
    elseif !upper && JuMP.has_lower_bound(variable)
        return JuMP.lower_bound(variable)
    elseif JuMP.is_binary(variable)
        return upper ? 1.0 : 0.0
    end
    return upper ? Inf : -Inf
end

"""``c^\\top x + constant`` of affine expressions `x`."""
function linear_combination(
    coefficients::AbstractVector{<:Real},
    x::Vector{Affine{T}},
    constant::Real = 0.0,
) where {T}
    result = Affine{T}(convert(T, constant))
    for (coefficient, entry) in zip(coefficients, x)
        if !iszero(coefficient)
            JuMP.add_to_expression!(result, convert(T, coefficient), entry)
        end
    end
    return result
end

"""What an affine map gives, as expressions."""
function affine_values(::Type{T}, layer::Dense, values::Vector{Affine{T}}) where {T}
    return Affine{T}[
        linear_combination(view(layer.weight, i, :), values, layer.bias[i]) for
        i in 1:output_size(layer)
    ]
end

function affine_values(
    ::Type{T},
    layer::SparseAffine,
    values::Vector{Affine{T}},
) where {T}
    columns, entries = rowvals(layer.rows), nonzeros(layer.rows)
    return map(1:output_size(layer)) do i
        range = nzrange(layer.rows, i)
        read = values[view(columns, range)]
        return linear_combination(view(entries, range), read, layer.bias[i])
    end
end
