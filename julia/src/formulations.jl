"""
    AbstractFormulation

How a ReLU becomes linear constraints. A formulation is a type, and
`add_relu!` is the function to extend for another one:
[`BigM`](@ref), [`Indicator`](@ref), [`ThesisBigM`](@ref),
[`Triangle`](@ref).
"""
abstract type AbstractFormulation end

"""
    BigM()

The program of Grimstad & Andersson (2019), with ``L \\le a \\le U`` known for
every neuron:

```math
a = x - s, \\qquad 0 \\le x \\le U z, \\qquad 0 \\le s \\le -L (1 - z), \\qquad z \\in \\{0, 1\\}
```

Stable neurons (``L \\ge 0`` or ``U \\le 0``) get no binary variable.
"""
struct BigM <: AbstractFormulation end

"""
    Indicator()

As [`BigM`](@ref), with indicator constraints in place of the products:
``z = 0 \\Rightarrow x \\le 0`` and ``z = 1 \\Rightarrow s \\le 0``.
"""
struct Indicator <: AbstractFormulation end

"""
    Triangle()

The linear relaxation of [`BigM`](@ref) without its binary variable:
``a = x - s``, ``x, s \\ge 0`` and ``-L x + U s \\le -L U``, divided by ``U - L``.
"""
struct Triangle <: AbstractFormulation end

"""
    ThesisBigM(big_m = 1000)

The baseline of Linkola (2023): the bounds ``-M`` and ``M`` for every neuron, a
binary variable for every neuron, and the triple ``(x, s, z)`` for the output
layer too, whose ``s`` is fixed to 0 and ``z`` to 1, so that ``x`` is the logit.
"""
struct ThesisBigM <: AbstractFormulation
    big_m::Float64

    function ThesisBigM(big_m::Real = 1000)
        if !(isfinite(big_m) && big_m > 0)
            throw(InputError("big-M: expected a number > 0, found $big_m"))
        end
        return new(big_m)
    end
end

"""
    parse_formulation(name)

The formulation called `bigm`, `indicator`, `triangle` or `thesis`.
"""
function parse_formulation(name::AbstractString)
    name == "bigm" && return BigM()
    name == "indicator" && return Indicator()
    name == "triangle" && return Triangle()
    name == "thesis" && return ThesisBigM()
    throw(
        InputError(
            "formulation: expected bigm, indicator, triangle or thesis, found " *
            repr(name),
        ),
    )
end

"""
    NetworkFormulation

What [`add_network!`](@ref) added to a model.

 * `x[k][i]`, `s[k][i]`, `z[k][i]`: hidden neuron `i` of layer `k` as
   expressions with ``a = x - s``; `z` is 1 when the neuron is active. They are
   constants where a stable neuron needs no variable.
 * `output`: the logits, as expressions.
 * `variables`, `constraints`: all that was added, in order.
 * `network`, `formulation`, `bounds`, `input`: what it was made from.
"""
struct NetworkFormulation{F<:AbstractFormulation}
    network::ReLUNetwork
    formulation::F
    bounds::PreActivationBounds
    input::Vector{JuMP.AffExpr}
    x::Vector{Vector{JuMP.AffExpr}}
    s::Vector{Vector{JuMP.AffExpr}}
    z::Vector{Vector{JuMP.AffExpr}}
    output::Vector{JuMP.AffExpr}
    variables::Vector{JuMP.VariableRef}
    constraints::Vector{JuMP.ConstraintRef}
end

function Base.show(io::IO, added::NetworkFormulation)
    print(
        io,
        "NetworkFormulation(",
        join(layer_sizes(added.network), "-"),
        ", ",
        added.formulation,
        ") with ",
        length(added.variables),
        " variables and ",
        length(added.constraints),
        " constraints",
    )
    return
end

"""
    add_network!(model, network, input; bounds, formulation = BigM())

Add a ReLU network to a JuMP `model`, so that the `output` of the returned
[`NetworkFormulation`](@ref) equals `forward(network, value.(input))` in every
feasible point.

`input` is a vector of variables, affine expressions or numbers, one for each
input of the network. `bounds` are [`PreActivationBounds`](@ref) that hold for
every input the model allows; by default they are computed by interval
arithmetic from the bounds of the variables in `input`.

## Example

Which input of a network, among those whose entries sum to 1, gives the largest
first output?

```jldoctest
julia> using JuMP, ReLUOpt

julia> import HiGHS

julia> network = ReLUNetwork([Dense([5.0 -4.0], [3.0]), Dense([-2.0;;], [50.0])]);

julia> model = Model(HiGHS.Optimizer);

julia> set_silent(model)

julia> @variable(model, 0 <= input[1:2] <= 1);

julia> @constraint(model, sum(input) == 1);

julia> net = add_network!(model, network, input);

julia> @objective(model, Max, net.output[1]);

julia> optimize!(model)

julia> objective_value(model)
50.0
```
"""
function add_network!(
    model::JuMP.Model,
    network::ReLUNetwork,
    input::AbstractVector;
    bounds::Union{Nothing,PreActivationBounds} = nothing,
    formulation::AbstractFormulation = BigM(),
)
    if length(input) != input_size(network)
        throw(
            InputError(
                "input: expected $(input_size(network)) entries, found " *
                "$(length(input))",
            ),
        )
    end
    input = JuMP.AffExpr[JuMP.@expression(model, 1.0 * v) for v in input]
    bounds = _formulation_bounds(formulation, network, input, bounds)
    _check_bounds(network, bounds)
    added = NetworkFormulation(
        network,
        formulation,
        bounds,
        input,
        Vector{JuMP.AffExpr}[],
        Vector{JuMP.AffExpr}[],
        Vector{JuMP.AffExpr}[],
        JuMP.AffExpr[],
        JuMP.VariableRef[],
        JuMP.ConstraintRef[],
    )
    values = input
    for k in 1:(length(network.layers)-1)
        values = _add_hidden_layer!(model, added, k, values)
    end
    a = _affine(network.layers[end], values)
    append!(added.output, add_output!(model, formulation, added, a))
    return added
end

"""Bounds to use: those given, those the formulation dictates, or intervals."""
function _formulation_bounds(::AbstractFormulation, network, input, ::Nothing)
    return pre_activation_bounds(IntervalBounds(), network, _input_box(input))
end

_formulation_bounds(::AbstractFormulation, network, input, bounds) = bounds

function _formulation_bounds(f::ThesisBigM, network, input, bounds)
    sizes = output_size.(network.layers)
    return PreActivationBounds(
        [fill(-f.big_m, n) for n in sizes],
        [fill(f.big_m, n) for n in sizes],
    )
end

function _formulation_bounds(f::ThesisBigM, network, input, ::Nothing)
    return _formulation_bounds(f, network, input, ())
end

"""The box that the bounds of the variables give to affine inputs."""
function _input_box(input::Vector{JuMP.AffExpr})
    lower = [_extreme(v, -1) for v in input]
    upper = [_extreme(v, 1) for v in input]
    return Box(lower, upper)
end

"""Largest (`sign = 1`) or smallest (`sign = -1`) value of an expression."""
function _extreme(expression::JuMP.AffExpr, sign::Int)
    total = JuMP.constant(expression)
    for (coefficient, variable) in JuMP.linear_terms(expression)
        total += coefficient * _variable_limit(variable, sign * coefficient > 0)
    end
    return total
end

function _variable_limit(variable::JuMP.VariableRef, upper::Bool)
    if JuMP.is_fixed(variable)
        return JuMP.fix_value(variable)
    elseif upper && JuMP.has_upper_bound(variable)
        return JuMP.upper_bound(variable)
    elseif !upper && JuMP.has_lower_bound(variable)
        return JuMP.lower_bound(variable)
    elseif JuMP.is_binary(variable)
        return upper ? 1.0 : 0.0
    end
    throw(
        InputError(
            "input: expected a finite $(upper ? "upper" : "lower") bound of " *
            "variable $(JuMP.name(variable)), found none: bound it, or give " *
            "`bounds`",
        ),
    )
end

"""``c^\\top x + constant`` of affine expressions `x`."""
function _linear(
    c::AbstractVector{<:Real},
    x::Vector{JuMP.AffExpr},
    constant::Real = 0.0,
)
    result = JuMP.AffExpr(constant)
    for j in eachindex(c)
        iszero(c[j]) || JuMP.add_to_expression!(result, c[j], x[j])
    end
    return result
end

"""Pre-activations of a layer as expressions."""
function _affine(layer::Dense, values::Vector{JuMP.AffExpr})
    return [
        _linear(layer.weight[i, :], values, layer.bias[i]) for
        i in 1:output_size(layer)
    ]
end

function _add_hidden_layer!(model, added::NetworkFormulation, k, values)
    a = _affine(added.network.layers[k], values)
    triples = [
        add_relu!(
            model,
            added.formulation,
            added,
            a[i],
            added.bounds.lower[k][i],
            added.bounds.upper[k][i],
            "[$k,$i]",
        ) for i in eachindex(a)
    ]
    push!(added.x, [t[1] for t in triples])
    push!(added.s, [t[2] for t in triples])
    push!(added.z, [t[3] for t in triples])
    return added.x[end]
end

"""
    set_start_values!(added, x0)

Give the variables that [`add_network!`](@ref) added the start values they take
at the input `x0`: a complete MIP start (set the start values of the input
variables as well).
"""
function set_start_values!(added::NetworkFormulation, x0::AbstractVector{<:Real})
    a = pre_activations(added.network, x0)
    for k in eachindex(added.x), i in eachindex(added.x[k])
        _set_start(added.x[k][i], max(a[k][i], 0.0))
        _set_start(added.s[k][i], max(-a[k][i], 0.0))
        _set_start(added.z[k][i], a[k][i] > 0 ? 1.0 : 0.0)
    end
    for (expression, value) in zip(added.output, a[end])
        _set_start(expression, value)
    end
    return
end

"""Start value of an expression that is one variable; others need none."""
function _set_start(expression::JuMP.AffExpr, value::Real)
    if length(expression.terms) == 1
        variable, coefficient = first(expression.terms)
        coefficient == 1.0 && JuMP.set_start_value(variable, value)
    end
    return
end

"""
    solved_pattern(added)

Which hidden neurons are active in the solution of the model, one `BitVector`
for each hidden layer: binaries rounded, stable neurons as they are.
"""
function solved_pattern(added::NetworkFormulation)
    return [BitVector(JuMP.value.(z) .> 0.5) for z in added.z]
end
