"""
    classify(network, image; optimizer, formulation = BigM(),
             bounds = IntervalBounds(), kwargs...)

Compute the logits of one image by the program: the input is fixed and nothing
is optimised. Returns a [`LogitResult`](@ref) whose `error` is the largest
difference from the forward pass. Bounds are those of the box ``[0, 1]``, so that
the program has its binary variables. Takes the keywords of
[`SearchOptions`](@ref).

Throws a `DimensionMismatch` for an image of another size, and an
[`UnsupportedProblemError`](@ref) for an optimizer without binary variables.
"""
function classify(
    network::ReLUNetwork,
    image::AbstractArray{<:Real};
    optimizer = HiGHS.Optimizer,
    formulation::AbstractFormulation = BigM(),
    bounds::Union{AbstractBoundingMethod,PreActivationBounds} = IntervalBounds(),
    kwargs...,
)
    x = _checked_image(network, image)
    lower, upper = min.(x, 0.0), max.(x, 1.0)
    options = SearchOptions(; kwargs...)
    return _solve_logit(
        network,
        Box(lower, upper),
        nothing;
        optimizer,
        formulation,
        bounds,
        options,
        fixed = x,
    )
end

"""
    optimal_input(network, label; box, optimizer, formulation = BigM(),
                  bounds = LinearBounds(), kwargs...)

The input in `box` (``[0, 1]`` by default) that maximises the logit of `label`
(counted from 0), proven to be so. Returns a [`LogitResult`](@ref) whose `bound`
is an upper bound:

```math
\\max_{x^0 \\in box} x^K_{label}
```

Takes the keywords of [`SearchOptions`](@ref). Throws an `ArgumentError` for a label
that the network does not have, and an [`UnsupportedProblemError`](@ref) for an
optimizer without binary variables.
"""
function optimal_input(
    network::ReLUNetwork,
    label::Integer;
    box::Box = unit_box(input_size(network)),
    optimizer = HiGHS.Optimizer,
    formulation::AbstractFormulation = BigM(),
    bounds::Union{AbstractBoundingMethod,PreActivationBounds} = LinearBounds(),
    kwargs...,
)
    _check_label(label, output_size(network))
    options = SearchOptions(; kwargs...)
    return _solve_logit(
        network,
        box,
        Int(label);
        optimizer,
        formulation,
        bounds,
        options,
    )
end

"""Maximise the logit of `label`, or only find a feasible point (`nothing`)."""
function _solve_logit(
    network::ReLUNetwork,
    box::Box,
    label::Union{Nothing,Int};
    optimizer,
    formulation::AbstractFormulation,
    bounds,
    options::SearchOptions,
    fixed::Union{Nothing,Vector{Float64}} = nothing,
)
    started = time()
    _check_exact(formulation)
    instance = configured_optimizer(optimizer, options)
    check_integers(instance)
    model = solver_model(instance)
    x0 = _pixels!(model, box)
    known = bounds
    if bounds isa AbstractBoundingMethod
        known = pre_activation_bounds(bounds, network, box)
    end
    net = add_network!(model, network, x0; bounds = known, formulation)
    fixed === nothing || JuMP.fix.(x0, fixed; force = true)
    label === nothing || JuMP.@objective(model, Max, net.output[label+1])
    build = time() - started
    search = optimize_model!(model, instance, options)
    effort = (; nodes = _node_count(model), build, search)
    return _logit_result(model, net, box, label, x0, effort, options)
end

"""The checked answer of a solved program; `effort` tells nodes and seconds."""
function _logit_result(
    model::JuMP.Model,
    net::NetworkFormulation,
    box::Box,
    label::Union{Nothing,Int},
    x0::Vector{JuMP.VariableRef},
    effort::NamedTuple,
    options::SearchOptions,
)
    common = (;
        termination_status = JuMP.termination_status(model),
        effort.nodes,
        build_seconds = effort.build,
        search_seconds = effort.search,
        model_size(model)...,
        message = JuMP.raw_status(model),
    )
    bound = label === nothing ? Inf : something(proven_bound(model), Inf)
    if !JuMP.has_values(model)
        # Every input of the box has logits: a claim that there are none is wrong, as
        # HiGHS was seen to make it of a program in which 200 inputs meet every row.
        infeasible = common.termination_status == MOI.INFEASIBLE
        return LogitResult(;
            status = infeasible ? SolveStatus.NUMERICAL : SolveStatus.TIME_LIMIT,
            label = something(label, -1),
            bound = infeasible ? Inf : bound,
            common...,
        )
    end
    point = JuMP.value.(x0)
    label === nothing || (point = clip(box, point))
    program_logits = JuMP.value.(net.output)
    network_logits = forward(net.network, point)
    difference = maximum(abs, program_logits - network_logits)
    answer = something(label, argmax(program_logits) - 1)
    objective = network_logits[answer+1]
    label === nothing && (bound = objective)
    bound = max(bound, objective)
    return LogitResult(;
        status = _logit_status(objective, bound, difference, network_logits, options),
        label = answer,
        input = point,
        objective,
        bound,
        gap = relative_gap(objective, bound),
        program_logits,
        network_logits,
        error = difference,
        common...,
    )
end

function _logit_status(objective, bound, difference, logits, options)
    tolerance = CONDITION_TOLERANCE * max(1.0, maximum(abs, logits))
    if difference > tolerance
        return SolveStatus.NUMERICAL
    elseif relative_gap(objective, bound) <= options.gap
        return SolveStatus.OPTIMAL
    end
    return SolveStatus.FEASIBLE
end
