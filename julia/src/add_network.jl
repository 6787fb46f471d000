"""
    PoolRows{T}

The rows of one max pool in a [`NetworkFormulation`](@ref): the `values` that it
reads and the largest ones `y`, as expressions; for each `y[i]` the numbers of its
`candidates`, the values that bounds do not exclude, and their binary variables `z[i]`,
1 for the largest one (none for a single candidate, and none in a relaxation). `part`
is the number of the pool among all parts of the network's layers.
"""
struct PoolRows{T}
    part::Int
    values::Vector{Affine{T}}
    y::Vector{Affine{T}}
    candidates::Vector{Vector{Int}}
    z::Vector{Vector{JuMP.GenericVariableRef{T}}}
end

"""
    NetworkFormulation{T}

What [`add_network!`](@ref) added to a `JuMP.GenericModel{T}`.

 * `x[k][i]`, `s[k][i]`, `z[k][i]`: hidden neuron `i` of layer `k` of the
   [`lowered`](@ref) network as expressions with ``a = x - s``; `z` is 1 when the
   neuron is active. They are constants where a stable neuron needs no variable. The
   neurons inside a max pool are no part of the program: its `x[k]` are empty.
 * `pools`: what was added for each max pool ([`PoolRows`](@ref)).
 * `output`: the logits, as expressions.
 * `variables`, `constraints`: all that was added, in order.
 * `network`, `formulation`, `bounds`, `input`: what it was made from, `input` as
   a vector of expressions.
 * `prefix`: what the names of the variables begin with.
"""
Base.@kwdef struct NetworkFormulation{T,F<:AbstractFormulation}
    network::ReLUNetwork
    formulation::F
    bounds::PreActivationBounds
    prefix::String
    input::Vector{Affine{T}}
    x::Vector{Vector{Affine{T}}} = Vector{Affine{T}}[]
    s::Vector{Vector{Affine{T}}} = Vector{Affine{T}}[]
    z::Vector{Vector{Affine{T}}} = Vector{Affine{T}}[]
    pools::Vector{PoolRows{T}} = PoolRows{T}[]
    output::Vector{Affine{T}} = Affine{T}[]
    variables::Vector{JuMP.GenericVariableRef{T}} = JuMP.GenericVariableRef{T}[]
    constraints::Vector{JuMP.ConstraintRef} = JuMP.ConstraintRef[]
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

"""How many networks a model has: the second one's variables get other names."""
mutable struct NetworkCount
    count::Int
end

function JuMP.copy_extension_data(
    data::NetworkCount,
    ::JuMP.AbstractModel,
    ::JuMP.AbstractModel,
)
    return NetworkCount(data.count)
end

"""`relu_` for the first network of a model, then `relu2_`, `relu3_` and so on."""
function _next_prefix!(model::JuMP.GenericModel)
    networks = get!(() -> NetworkCount(0), model.ext, :ReLUOpt)::NetworkCount
    networks.count += 1
    return networks.count == 1 ? "relu_" : "relu$(networks.count)_"
end

"""
    add_network!(model, network, input; bounds, formulation = BigM(), prefix)

Add a [`ReLUNetwork`](@ref) to a JuMP `model`, so that the `output` of the returned
[`NetworkFormulation`](@ref) equals `ReLUOpt.forward(network, value.(input))` in
every feasible point:

```math
W^k x^{k-1} + b^k = x^k - s^k, \\qquad x^k, s^k \\ge 0, \\qquad
x^k_i > 0 \\Rightarrow s^k_i = 0
```

for the hidden layers ``k``, where the formulation says how the last condition is
written. Source: Grimstad & Andersson (2019).

## Arguments

 * `model`: a `Model` or any `GenericModel{T}`; weights are converted to `T`.
 * `input`: ``n_0`` variables, affine expressions or numbers, in any mixture. A
   matrix `pixels[row, column]` (or an array of more dimensions) is read row by
   row, as [`flat_image`](@ref) reads an image.
 * `bounds`: [`PreActivationBounds`](@ref) that hold for every input the model
   allows. By default they are computed by interval arithmetic from the bounds of
   the variables in `input`.
 * `formulation`: [`BigM`](@ref)`()`, [`Indicator`](@ref)`()`,
   [`ThesisBigM`](@ref)`()` or the relaxation [`Triangle`](@ref)`()`.
 * `prefix`: what the names of the variables begin with, such as `relu_x[1,3]` for
   the output of neuron 3 in layer 1; by default `relu_` for the first network of
   the model, `relu2_` for the second.

Throws a `DimensionMismatch` where sizes do not fit, and an `ArgumentError` for an
input that is not affine, or has no bounds.

## Example

Which input of a network, among those whose entries sum to 1, gives the largest
first output?

```jldoctest
julia> using JuMP, ReLUOpt

julia> import HiGHS

julia> network = ReLUNetwork([
           ReLUOpt.Dense([5.0 -4.0], [3.0]),
           ReLUOpt.Dense([-2.0;;], [50.0]),
       ]);

julia> model = Model(HiGHS.Optimizer);

julia> set_silent(model)

julia> @variable(model, 0 <= input[1:2] <= 1);

julia> @constraint(model, sum(input) == 1);

julia> net = add_network!(model, network, input);

julia> @objective(model, Max, net.output[1]);

julia> optimize!(model)

julia> objective_value(model)
50.0

julia> net.variables
3-element Vector{VariableRef}:
 relu_x[1,1]
 relu_s[1,1]
 relu_z[1,1]
```
"""
function add_network!(
    model::JuMP.GenericModel{T},
    network::ReLUNetwork,
    input::AbstractArray;
    bounds::Union{Nothing,PreActivationBounds} = nothing,
    formulation::AbstractFormulation = BigM(),
    prefix::AbstractString = _next_prefix!(model),
) where {T}
    entries = Affine{T}[_affine_entry(T, entry) for entry in row_major(input)]
    if length(entries) != input_size(network)
        throw(
            DimensionMismatch(
                "input: expected $(input_size(network)) entries, found " *
                "$(length(entries))",
            ),
        )
    end
    bounds = _formulation_bounds(formulation, network, entries, bounds)
    _check_bounds(network, bounds)
    added = NetworkFormulation{T,typeof(formulation)}(;
        network,
        formulation,
        bounds,
        prefix = String(prefix),
        input = entries,
    )
    place = Place(entries)
    for (j, layer) in enumerate(network.layers)
        j == 1 || add_relus!(model, added, place)
        add_layer!(model, added, layer, place)
    end
    append!(added.output, add_output!(model, formulation, added, place.values))
    return added
end

"""
Where `add_network!` is in a network: the `values` there as expressions, and the
numbers of ReLU layers (of the lowered network) and of parts before.
"""
mutable struct Place{T}
    values::Vector{Affine{T}}
    relus::Int
    parts::Int
end

Place(values::Vector{Affine{T}}) where {T} = Place{T}(values, 0, 0)

"""
    add_layer!(model, added, layer, place)

Add the rows of a [`Layer`](@ref) that reads `place.values`, which become what it
gives: of the affine maps and ReLUs that it lowers to, unless its type has a method of
its own. An affine map needs no row, its values are expressions. `place.relus` counts
the ReLU layers of the lowered network, `place.parts` the layers themselves.
"""
function add_layer!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    layer::Layer,
    place::Place{T},
) where {T}
    for (i, map) in enumerate(lower(layer))
        i == 1 || add_relus!(model, added, place)
        place.values = affine_values(T, map, place.values)
    end
    place.parts += 1
    return
end

"""Add a layer of ReLUs of `place.values`, which become their outputs."""
function add_relus!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    place::Place{T},
) where {T}
    place.relus += 1
    k = place.relus
    L, U = added.bounds.lower[k], added.bounds.upper[k]
    lower, upper = _limits_behind_pools(added.formulation, added, place.values, L, U)
    triples = [
        add_relu!(model, added.formulation, added, a, lower[i], upper[i], "[$k,$i]")
        for (i, a) in enumerate(place.values)
    ]
    push!(added.x, [t[1] for t in triples])
    push!(added.s, [t[2] for t in triples])
    push!(added.z, [t[3] for t in triples])
    place.values = added.x[end]
    return
end

"""
Bounds of the expressions `values`, `lower` and `upper` where no max pool stands before:
as a variable, the largest value has tighter bounds than as a tournament of ReLUs.
"""
function _limits_behind_pools(::AbstractFormulation, added, values, lower, upper)
    isempty(added.pools) && return lower, upper
    low, high = _known_limits(values)
    # Rounding must not let the two cross.
    return min.(max.(lower, low), upper), max.(min.(upper, high), lower)
end

_limits_behind_pools(::ThesisBigM, added, values, lower, upper) = lower, upper

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

"""Bounds to use: those given, those the formulation dictates, or intervals."""
function _formulation_bounds(::AbstractFormulation, network, input, ::Nothing)
    return pre_activation_bounds(IntervalBounds(), network, _input_box(input))
end

_formulation_bounds(::AbstractFormulation, network, input, bounds) = bounds

function _formulation_bounds(f::ThesisBigM, network, input, bounds)
    sizes = output_size.(network.affine_layers)
    return PreActivationBounds(
        [fill(-f.big_m, n) for n in sizes],
        [fill(f.big_m, n) for n in sizes],
    )
end

function _formulation_bounds(f::ThesisBigM, network, input, ::Nothing)
    return _formulation_bounds(f, network, input, ())
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
    inputs = part_inputs(added.network, x0)
    for pool in added.pools
        values = inputs[pool.part]
        _set_start.(pool.values, values)
        for (y, numbers, z) in zip(pool.y, pool.candidates, pool.z)
            value, largest = findmax(values[numbers])
            _set_start(y, value)
            JuMP.set_start_value.(z, eachindex(z) .== largest)
        end
    end
    _set_start.(added.output, a[end])
    return
end

"""Start value of an expression that is one variable; others need none."""
function _set_start(expression::Affine, value::Real)
    terms = JuMP.linear_terms(expression)
    length(terms) == 1 || return
    coefficient, variable = only(terms)
    isone(coefficient) && JuMP.set_start_value(variable, value)
    return
end

"""
    solved_pattern(added)

Which hidden neurons of the [`lowered`](@ref) network are active in the solution of
the model, one `BitVector` for each hidden layer: binaries rounded, stable neurons as
they are, and those inside a max pool by the values that the solution gives it.
"""
function solved_pattern(added::NetworkFormulation)
    values = JuMP.value.(added.input)
    return map(eachindex(added.z)) do k
        a = added.network.affine_layers[k](values)
        if isempty(added.z[k])
            values = max.(a, 0.0)
            return a .> 0.0
        end
        values = JuMP.value.(added.x[k])
        return BitVector(JuMP.value.(added.z[k]) .> 0.5)
    end
end
