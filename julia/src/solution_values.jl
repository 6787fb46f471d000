"""
    set_start_values!(added, x0)

Give the variables that [`add_network!`](@ref) added the start values they take
at the input `x0`: a complete MIP start (set the start values of the input
variables before).
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
    foreach(_set_copy_start, added.copies)
    _set_start.(added.output, a[end])
    return
end

"""Start value of a copy of a part, if all variables of both have theirs."""
function _set_copy_start(entry::PartCopy{T}) where {T}
    z = only(JuMP.linear_terms(entry.z))[2]
    read = [z; [v for (_, v) in JuMP.linear_terms(entry.part)]]
    if all(v -> JuMP.start_value(v) !== nothing, read)
        value = JuMP.value(JuMP.start_value, entry.part)
        JuMP.set_start_value(entry.copy, JuMP.start_value(z) > 0.5 ? value : zero(T))
    end
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
