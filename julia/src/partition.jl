"""
    Partition(parts; strategy = equal_size, tightened = false)

The partition-based formulation (Tsay, Kronqvist, Thebelt & Misener, NeurIPS 2021): the
terms of a neuron ``a = w^\\top x + b`` are split into `parts` sets ``S_n``, each with a
copy ``u_n`` that is the part's value where the neuron is active, else zero. With bounds
``l_n \\le \\sum_{i \\in S_n} w_i x_i \\le h_n``

```math
y = \\sum_n u_n + b z, \\qquad l_n z \\le u_n \\le h_n z, \\qquad
l_n (1 - z) \\le \\sum_{i \\in S_n} w_i x_i - u_n \\le h_n (1 - z)
```

beside the rows of [`BigM`](@ref), to which one part adds nothing. `nothing` for `parts`
is one for each term: the convex hull of the neuron over the box of its inputs.

`strategy(weights, parts)` gives the places of each part's weights: [`equal_size`](@ref),
[`equal_range`](@ref) or a function of your own. `tightened` bounds parts by linear
programs over the rows so far, with HiGHS, in place of the bounds of the variables.
"""
struct Partition{S} <: AbstractFormulation
    parts::Union{Nothing,Int}
    strategy::S
    tightened::Bool

    function Partition(parts; strategy = equal_size, tightened::Bool = false)
        if parts !== nothing && parts < 1
            throw(ArgumentError("parts: expected at least 1, found $parts"))
        end
        return new{typeof(strategy)}(parts, strategy, tightened)
    end
end

"""
    equal_size(weights, parts)

As many weights in each part, the smallest in the first.
"""
function equal_size(weights, parts)
    order, n = sortperm(weights), length(weights)
    size, larger = divrem(n, parts)
    ends = cumsum([size + (k <= larger) for k in 1:parts])
    return [order[(k == 1 ? 1 : ends[k-1] + 1):ends[k]] for k in 1:parts]
end

"""
    equal_range(weights, parts)

The tails beyond the 5 % quantiles, and between them intervals of the same length; of
equal size for fewer than three parts.
"""
function equal_range(weights, parts)
    parts < 3 && return equal_size(weights, parts)
    ranked = sort(weights)
    low, high = _quantile(ranked, 0.05), _quantile(ranked, 0.95)
    ends = [low + (high - low) * k / (parts - 2) for k in 0:(parts-2)]
    where = [searchsortedlast(ends, w) for w in weights]
    return [findall(==(k), where) for k in 0:(parts-1)]
end

"""Between the two nearest of some sorted values, as Julia's Statistics has it."""
function _quantile(ranked, share)
    place = 1 + share * (length(ranked) - 1)
    below = floor(Int, place)
    above = min(below + 1, length(ranked))
    return ranked[below] + (place - below) * (ranked[above] - ranked[below])
end

function add_relu!(
    model::JuMP.GenericModel{T},
    f::Partition,
    added::NetworkFormulation{T},
    a::Affine{T},
    lower::Real,
    upper::Real,
    name::String,
) where {T}
    parts = lower < 0 < upper ? _parts(f, a) : Affine{T}[]
    limits = f.tightened ? _tightened_limits(model, parts) : _known_limits(parts)
    x, s, z = add_relu!(model, BigM(), added, a, lower, upper, name)
    if length(parts) > 1 && all(isfinite, limits[1]) && all(isfinite, limits[2])
        copies = map(enumerate(zip(parts, limits...))) do (n, (part, low, high))
            return _add_copy!(model, added, part, z, low, high, "$(chop(name)),$n]")
        end
        note!(added, JuMP.@constraint(model, x == sum(copies) + JuMP.constant(a) * z))
    end
    return x, s, z
end

"""The parts of a neuron as expressions."""
function _parts(f::Partition, a::Affine{T}) where {T}
    terms = [(c, v) for (c, v) in JuMP.linear_terms(a) if !iszero(c)]
    isempty(terms) && return Affine{T}[]
    count = f.parts === nothing ? length(terms) : f.parts
    return map(filter(!isempty, f.strategy(first.(terms), count))) do places
        part = zero(a)
        foreach(i -> JuMP.add_to_expression!(part, terms[i]...), places)
        return part
    end
end

"""The copy of a part: its value where `z` is 1, else zero."""
function _add_copy!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    part::Affine{T},
    z::Affine{T},
    lower::Real,
    upper::Real,
    name::String,
) where {T}
    L, U = convert(T, lower), convert(T, upper)
    u = _variable!(model, added, "u$name", min(L, zero(T)), max(U, zero(T)))
    note!(
        added,
        JuMP.@constraint(model, u >= L * z),
        JuMP.@constraint(model, u <= U * z),
        JuMP.@constraint(model, part - u >= L * (1 - z)),
        JuMP.@constraint(model, part - u <= U * (1 - z)),
    )
    push!(added.copies, PartCopy{T}(u, part, z))
    return u
end

"""Ends of parts by linear programs are multiples of this, and at least it farther out
than the optimum that HiGHS tells, which is right to its tolerance of 1e-7."""
const PART_GRID = 2.0^-20

"""Bounds of `parts` by the linear relaxation of the rows so far, or by their variables."""
function _tightened_limits(model::JuMP.Model, parts::Vector{Affine{Float64}})
    lower, upper = _known_limits(parts)
    rows = JuMP.num_constraints(model; count_variable_in_set_constraints = false)
    (isempty(parts) || rows == 0) && return lower, upper
    relaxed, variables = JuMP.copy_model(model)
    JuMP.relax_integrality(relaxed)
    JuMP.set_optimizer(relaxed, HiGHS.Optimizer)
    JuMP.set_silent(relaxed)
    for (i, part) in enumerate(parts), sense in (MOI.MIN_SENSE, MOI.MAX_SENSE)
        form = sum(c * variables[v] for (c, v) in JuMP.linear_terms(part))
        JuMP.@objective(relaxed, sense, form)
        JuMP.optimize!(relaxed)
        bound = proven_bound(relaxed)
        bound === nothing && continue
        if sense == MOI.MIN_SENSE
            lower[i] = max(lower[i], (floor(bound / PART_GRID) - 1) * PART_GRID)
        else
            upper[i] = min(upper[i], (ceil(bound / PART_GRID) + 1) * PART_GRID)
        end
    end
    return lower, upper
end

function _tightened_limits(::JuMP.GenericModel, parts)
    throw(ArgumentError("tightened: expected a model over Float64, which HiGHS takes"))
end
