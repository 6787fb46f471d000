"""A new variable `name` with bounds, noted in `added`."""
function _variable!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    name::AbstractString,
    lower::Real,
    upper::Real,
) where {T}
    variable = JuMP.@variable(
        model,
        lower_bound = convert(T, lower),
        upper_bound = convert(T, upper),
        base_name = added.prefix * name
    )
    push!(added.variables, variable)
    return variable
end

"""A new binary variable, noted in `added`."""
function _binary!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    name::AbstractString,
) where {T}
    variable = JuMP.@variable(model, binary = true, base_name = added.prefix * name)
    push!(added.variables, variable)
    return variable
end

"""
    note!(added, constraints...)

Note constraints that a formulation has added, so that they stand in
`added.constraints`.
"""
function note!(added::NetworkFormulation, constraints...)
    append!(added.constraints, constraints)
    return
end

"""
    add_relu!(model, formulation, added, a, lower, upper, name)

Add ``x = \\max(0, a)`` for a neuron with pre-activation `a` (an expression) in
`[lower, upper]`; note variables and constraints in `added` and return
`(x, s, z)` as affine expressions. Stable neurons are the same for all
formulations; an unstable one is added by `add_unstable_relu!`.
"""
function add_relu!(
    model::JuMP.GenericModel{T},
    formulation::AbstractFormulation,
    added::NetworkFormulation{T},
    a::Affine{T},
    lower::Real,
    upper::Real,
    name::String,
) where {T}
    if upper <= 0
        # s is not needed by anyone: it is the expression -a.
        return zero(a), -a, zero(a)
    elseif lower >= 0
        # A variable of its own keeps the rows of the next layer sparse.
        x = _variable!(model, added, "x$name", lower, upper)
        note!(added, JuMP.@constraint(model, x == a))
        return convert(Affine{T}, x), zero(a), one(a)
    end
    x = _variable!(model, added, "x$name", 0, upper)
    s = _variable!(model, added, "s$name", 0, -lower)
    note!(added, JuMP.@constraint(model, x - s == a))
    z = add_unstable_relu!(model, formulation, added, x, s, lower, upper, name)
    return convert(Affine{T}, x), convert(Affine{T}, s), z
end

# The thesis takes every neuron as unstable.
function add_relu!(
    model::JuMP.GenericModel{T},
    formulation::ThesisBigM,
    added::NetworkFormulation{T},
    a::Affine{T},
    lower::Real,
    upper::Real,
    name::String,
) where {T}
    x = _variable!(model, added, "x$name", 0, upper)
    s = _variable!(model, added, "s$name", 0, -lower)
    note!(added, JuMP.@constraint(model, x - s == a))
    z = add_unstable_relu!(model, BigM(), added, x, s, lower, upper, name)
    return convert(Affine{T}, x), convert(Affine{T}, s), z
end

"""
    add_unstable_relu!(model, formulation, added, x, s, lower, upper, name)

Tie the variables ``x, s \\ge 0`` of an unstable neuron, whose row ``a = x - s``
stands already, so that at most one of them is positive. Returns the phase `z` as
an affine expression. This is the method that another formulation needs; it notes
its constraints by [`note!`](@ref), and its variables in `added.variables`.
"""
function add_unstable_relu! end

function add_unstable_relu!(
    model::JuMP.GenericModel{T},
    ::BigM,
    added,
    x,
    s,
    lower,
    upper,
    name,
) where {T}
    z = _binary!(model, added, "z$name")
    U, L = convert(T, upper), convert(T, lower)
    note!(
        added,
        JuMP.@constraint(model, x <= U * z),
        JuMP.@constraint(model, s <= -L * (1 - z)),
    )
    return convert(Affine{T}, z)
end

function add_unstable_relu!(
    model::JuMP.GenericModel{T},
    ::Indicator,
    added,
    x,
    s,
    lower,
    upper,
    name,
) where {T}
    z = _binary!(model, added, "z$name")
    note!(
        added,
        JuMP.@constraint(model, !z --> {x <= 0}),
        JuMP.@constraint(model, z --> {s <= 0}),
    )
    return convert(Affine{T}, z)
end

function add_unstable_relu!(
    model::JuMP.GenericModel{T},
    ::Triangle,
    added,
    x,
    s,
    lower,
    upper,
    name,
) where {T}
    # Divided by U - L, so that its coefficients lie in [0, 1] for every neuron.
    U, L = convert(T, upper), convert(T, lower)
    share = U / (U - L)
    note!(
        added,
        JuMP.@constraint(model, (1 - share) * x + share * s <= -L * share),
    )
    # The share of the way from a = lower to a = upper; no variable of its own.
    return Affine{T}(zero(T), x => 1 / U)
end

"""
    add_output!(model, formulation, added, a)

The logits of a network whose last pre-activations are the expressions `a`.
"""
add_output!(model, ::AbstractFormulation, added, a) = a

function add_output!(
    model::JuMP.GenericModel{T},
    f::ThesisBigM,
    added,
    a,
) where {T}
    k = length(added.network.affine_layers)
    return map(enumerate(a)) do (i, expression)
        name = "[$k,$i]"
        x = _variable!(model, added, "x$name", -f.big_m, f.big_m)
        s = _variable!(model, added, "s$name", 0, f.big_m)
        z = _binary!(model, added, "z$name")
        JuMP.fix(s, zero(T); force = true)
        JuMP.fix(z, one(T); force = true)
        note!(added, JuMP.@constraint(model, x - s == expression))
        return convert(Affine{T}, x)
    end
end
