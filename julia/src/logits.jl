"""
    classify(network, image; optimizer, formulation = BigM(),
             bounds = IntervalBounds(), kwargs...)

Compute the logits of one image by the program: the input is fixed and nothing
is optimised. Returns a [`LogitResult`](@ref) whose `error` is the largest
difference from the forward pass. Bounds are those of the box ``[0, 1]``, so that
the program has its binary variables. Takes the keywords of
[`SearchOptions`](@ref).
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
is an upper bound. Takes the keywords of [`SearchOptions`](@ref).
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
    model = solver_model(optimizer, options)
    x0 = _pixels!(model, box)
    known = bounds
    if bounds isa AbstractBoundingMethod
        known = pre_activation_bounds(bounds, network, box)
    end
    net = add_network!(model, network, x0; bounds = known, formulation)
    fixed === nothing || JuMP.fix.(x0, fixed; force = true)
    label === nothing || JuMP.@objective(model, Max, net.output[label+1])
    build = time() - started
    search = optimize_model!(model, options)
    return _logit_result(model, network, box, label, x0, net, build, search, options)
end

function _logit_result(
    model,
    network,
    box,
    label,
    x0,
    net,
    build,
    search,
    options,
)
    size, nodes = model_size(model), _node_count(model)
    bound = label === nothing ? Inf : something(proven_bound(model), Inf)
    message = JuMP.raw_status(model)
    if !JuMP.has_values(model)
        infeasible = JuMP.termination_status(model) == MOI.INFEASIBLE
        status = infeasible ? SolveStatus.INFEASIBLE : SolveStatus.TIME_LIMIT
        return LogitResult(
            status,
            something(label, -1),
            nothing,
            -Inf,
            bound,
            Inf,
            Float64[],
            Float64[],
            Inf,
            nodes,
            build,
            search,
            size...,
            message,
        )
    end
    point = JuMP.value.(x0)
    label === nothing || (point = clip(box, point))
    claimed = JuMP.value.(net.output)
    logits = forward(network, point)
    difference = maximum(abs, claimed - logits)
    answer = something(label, argmax(claimed) - 1)
    objective = logits[answer+1]
    label === nothing && (bound = objective)
    bound = max(bound, objective)
    status = _logit_status(objective, bound, difference, logits, options)
    return LogitResult(
        status,
        answer,
        point,
        objective,
        bound,
        relative_gap(objective, bound),
        claimed,
        logits,
        difference,
        nodes,
        build,
        search,
        size...,
        message,
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
