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
    PartCopy{T}

The `copy` of a part of a neuron's inputs in [`Partition`](@ref): the value of `part`,
an expression, where the phase `z` is 1, else zero.
"""
struct PartCopy{T}
    copy::JuMP.GenericVariableRef{T}
    part::Affine{T}
    z::Affine{T}
end

"""
    NetworkFormulation{T}

What [`add_network!`](@ref) added to a `JuMP.GenericModel{T}`.

 * `x[k][i]`, `s[k][i]`, `z[k][i]`: hidden neuron `i` of layer `k` of the
   [`lowered`](@ref) network as expressions with ``a = x - s``; `z` is 1 when the
   neuron is active. They are constants where a stable neuron needs no variable. The
   neurons inside a max pool are no part of the program: its `x[k]` are empty.
 * `pools`: what was added for each max pool ([`PoolRows`](@ref)).
 * `copies`: what [`Partition`](@ref) added for parts of neurons' inputs ([`PartCopy`](@ref)).
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
    copies::Vector{PartCopy{T}} = PartCopy{T}[]
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
 * `bounds`: what computes pre-activation bounds from those of the variables in
   `input`: [`LinearBounds`](@ref)`()` (the default), [`IntervalBounds`](@ref)`()`,
   [`OptimizationBounds`](@ref)`()`; or [`PreActivationBounds`](@ref) that hold for
   every input the model allows.
 * `formulation`: [`BigM`](@ref)`()`, [`Indicator`](@ref)`()`,
   [`ThesisBigM`](@ref)`()`, [`Partition`](@ref)`(2)` or the relaxation
   [`Triangle`](@ref)`()`.
 * `prefix`: what the names of the variables begin with, such as `relu_x[1,3]` for
   the output of neuron 3 in layer 1; by default `relu_` for the first network of
   the model, `relu2_` for the second.

`JuMP.delete(model, net)` takes it out again.

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
    bounds::Union{Nothing,PreActivationBounds,AbstractBoundingMethod} = nothing,
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

"""
    JuMP.delete(model, net::NetworkFormulation)

Take a network that [`add_network!`](@ref) added out of `model`; its inputs stay.
"""
function JuMP.delete(model::JuMP.GenericModel{T}, net::NetworkFormulation{T}) where {T}
    foreach(row -> JuMP.delete(model, row), net.constraints)
    JuMP.delete(model, net.variables)
    return
end

"""Bounds to use: those that the formulation dictates, those given, those of a method."""
function _formulation_bounds(::AbstractFormulation, network, input, bounds)
    return _known_bounds(network, input, bounds)
end

function _formulation_bounds(f::ThesisBigM, network, input, bounds)
    sizes = output_size.(network.affine_layers)
    return PreActivationBounds(
        [fill(-f.big_m, n) for n in sizes],
        [fill(f.big_m, n) for n in sizes],
    )
end

_known_bounds(network, input, bounds::PreActivationBounds) = bounds
_known_bounds(network, input, ::Nothing) = _known_bounds(network, input, LinearBounds())

function _known_bounds(network, input, method::AbstractBoundingMethod)
    return pre_activation_bounds(method, network, _input_box(input))
end
