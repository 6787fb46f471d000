"""
    surviving_candidates(lower, upper)

Which of several values with these bounds can be the largest one: the one with the
largest lower bound, and all whose upper bound exceeds that.
"""
function surviving_candidates(lower::Vector{Float64}, upper::Vector{Float64})
    best = argmax(collect(zip(lower, upper)))
    return [i for i in eachindex(upper) if i == best || upper[i] > lower[best]]
end

"""
    add_max!(model, added, values, lower, upper, name)

Add ``y = \\max_i x_i`` of `values` (expressions) in `[lower, upper]`, all of which
may be the largest; returns `y` and the binary variables:

```math
y \\ge x_i, \\qquad y \\le x_i + (\\max_{j \\ne i} U_j - L_i)(1 - z_i), \\qquad
\\sum_i z_i = 1, \\qquad z_i \\in \\{0, 1\\}
```

where the formulation says how the second condition is written
([`add_choice!`](@ref)). One value alone is ``y`` itself. Sources: Tjeng, Xiao &
Tedrake (2019), Evaluating robustness of neural networks with mixed integer
programming; Anderson et al. (2020), Strong mixed-integer programming formulations for
trained neural networks.
"""
function add_max!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    values::Vector{Affine{T}},
    lower::Vector{Float64},
    upper::Vector{Float64},
    name::String,
) where {T}
    if length(values) == 1
        return only(values), JuMP.GenericVariableRef{T}[]
    end
    y = _variable!(model, added, "y$name", maximum(lower), maximum(upper))
    for value in values
        note!(added, JuMP.@constraint(model, y >= value))
    end
    # How far y can lie above each value when another one is the largest.
    gaps = map(eachindex(values)) do i
        others = maximum(upper[j] for j in eachindex(upper) if j != i)
        return convert(T, others) - convert(T, lower[i])
    end
    z = add_choice!(model, added.formulation, added, y, values, gaps, name)
    return convert(Affine{T}, y), z
end

"""
    add_choice!(model, formulation, added, y, values, gaps, name)

Tie `y`, which is at least each of two or more `values` by rows that stand already, to
the largest of them; `gaps[i]` is the most that `y` can exceed `values[i]` when another
one is the largest. Returns the binary variables, one for each value, or none. A
formulation without a method of its own has the rows of [`BigM`](@ref).
"""
function add_choice!(
    model::JuMP.GenericModel{T},
    ::AbstractFormulation,
    added,
    y,
    values,
    gaps,
    name,
) where {T}
    z = _choice_binaries!(model, added, length(values), name)
    for i in eachindex(values)
        note!(added, JuMP.@constraint(model, y <= values[i] + gaps[i] * (1 - z[i])))
    end
    return z
end

function add_choice!(
    model::JuMP.GenericModel{T},
    ::Indicator,
    added,
    y,
    values,
    gaps,
    name,
) where {T}
    z = _choice_binaries!(model, added, length(values), name)
    for i in eachindex(values)
        note!(added, JuMP.@constraint(model, z[i] --> {y <= values[i]}))
    end
    return z
end

# What is left of the rows when z may be any numbers that sum to 1.
function add_choice!(
    model::JuMP.GenericModel{T},
    ::Triangle,
    added,
    y,
    values,
    gaps,
    name,
) where {T}
    for i in eachindex(values)
        note!(added, JuMP.@constraint(model, y <= values[i] + gaps[i]))
    end
    excess = sum((y - values[i]) / gaps[i] for i in eachindex(values))
    note!(added, JuMP.@constraint(model, excess <= length(values) - 1))
    return JuMP.GenericVariableRef{T}[]
end

"""Binary variables of which exactly one is 1."""
function _choice_binaries!(model::JuMP.GenericModel, added, n::Int, name::String)
    stem = "z" * chopsuffix(name, "]")
    z = [_binary!(model, added, "$stem,$i]") for i in 1:n]
    note!(added, JuMP.@constraint(model, sum(z) == 1))
    return z
end

"""An expression that is one variable or a number; any other gets a variable."""
function _single_term!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    expression::Affine{T},
    lower::Real,
    upper::Real,
    name::String,
) where {T}
    terms = JuMP.linear_terms(expression)
    if length(terms) == 0 || (length(terms) == 1 && iszero(JuMP.constant(expression)))
        return expression
    end
    variable = _variable!(model, added, name, lower, upper)
    note!(added, JuMP.@constraint(model, variable == expression))
    return convert(Affine{T}, variable)
end
