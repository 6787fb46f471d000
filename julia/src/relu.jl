"""A new variable in `[0, upper]`, noted in `added`."""
function _nonnegative!(model, added::NetworkFormulation, upper, name)
    v = JuMP.@variable(model, lower_bound = 0, upper_bound = upper, base_name = name)
    push!(added.variables, v)
    return v
end

function _binary!(model, added::NetworkFormulation, name)
    v = JuMP.@variable(model, binary = true, base_name = name)
    push!(added.variables, v)
    return v
end

function _note!(added::NetworkFormulation, constraints...)
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
    model::JuMP.Model,
    formulation::AbstractFormulation,
    added::NetworkFormulation,
    a::JuMP.AffExpr,
    lower::Real,
    upper::Real,
    name::String,
)
    if upper <= 0
        # s is not needed by anyone: it is the expression -a.
        return JuMP.AffExpr(0.0), -a, JuMP.AffExpr(0.0)
    elseif lower >= 0
        # A variable of its own keeps the rows of the next layer sparse.
        x = JuMP.@variable(
            model,
            lower_bound = lower,
            upper_bound = upper,
            base_name = "x$name"
        )
        push!(added.variables, x)
        _note!(added, JuMP.@constraint(model, x == a))
        return JuMP.AffExpr(0.0, x => 1.0), JuMP.AffExpr(0.0), JuMP.AffExpr(1.0)
    end
    x = _nonnegative!(model, added, upper, "x$name")
    s = _nonnegative!(model, added, -lower, "s$name")
    _note!(added, JuMP.@constraint(model, x - s == a))
    z = add_unstable_relu!(model, formulation, added, x, s, lower, upper, name)
    return JuMP.AffExpr(0.0, x => 1.0), JuMP.AffExpr(0.0, s => 1.0), z
end

# The thesis takes every neuron as unstable.
function add_relu!(
    model::JuMP.Model,
    formulation::ThesisBigM,
    added::NetworkFormulation,
    a::JuMP.AffExpr,
    lower::Real,
    upper::Real,
    name::String,
)
    x = _nonnegative!(model, added, upper, "x$name")
    s = _nonnegative!(model, added, -lower, "s$name")
    _note!(added, JuMP.@constraint(model, x - s == a))
    z = add_unstable_relu!(model, BigM(), added, x, s, lower, upper, name)
    return JuMP.AffExpr(0.0, x => 1.0), JuMP.AffExpr(0.0, s => 1.0), z
end

function add_unstable_relu!(model, ::BigM, added, x, s, lower, upper, name)
    z = _binary!(model, added, "z$name")
    _note!(
        added,
        JuMP.@constraint(model, x <= upper * z),
        JuMP.@constraint(model, s <= -lower * (1 - z)),
    )
    return JuMP.AffExpr(0.0, z => 1.0)
end

function add_unstable_relu!(model, ::Indicator, added, x, s, lower, upper, name)
    z = _binary!(model, added, "z$name")
    _note!(
        added,
        JuMP.@constraint(model, !z --> {x <= 0}),
        JuMP.@constraint(model, z --> {s <= 0}),
    )
    return JuMP.AffExpr(0.0, z => 1.0)
end

function add_unstable_relu!(model, ::Triangle, added, x, s, lower, upper, name)
    # Divided by U - L, so that its coefficients lie in [0, 1] for every neuron.
    share = upper / (upper - lower)
    _note!(added, JuMP.@constraint(model, (1 - share) * x + share * s <= -lower * share))
    # The share of the way from a = lower to a = upper; no variable of its own.
    return JuMP.AffExpr(0.0, x => 1 / upper)
end

"""
    add_output!(model, formulation, added, a)

The logits of a network whose last pre-activations are the expressions `a`.
"""
add_output!(model, ::AbstractFormulation, added, a) = a

function add_output!(model, f::ThesisBigM, added, a)
    k = length(added.network.layers)
    return map(enumerate(a)) do (i, expression)
        name = "[$k,$i]"
        x = JuMP.@variable(
            model,
            lower_bound = -f.big_m,
            upper_bound = f.big_m,
            base_name = "x$name"
        )
        push!(added.variables, x)
        s = _nonnegative!(model, added, f.big_m, "s$name")
        z = _binary!(model, added, "z$name")
        JuMP.fix(s, 0.0; force = true)
        JuMP.fix(z, 1.0; force = true)
        _note!(added, JuMP.@constraint(model, x - s == expression))
        return JuMP.AffExpr(0.0, x => 1.0)
    end
end
