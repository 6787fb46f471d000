"""
    universal_perturbation(network, images, targets; norm = 1, kwargs...)

The smallest change that, added to every one of some images, makes the network answer a
target of each, proven to be so. The program holds one copy of the network for each
image, and the change once:

```math
\\min_\\delta \\|\\delta\\| \\quad\\text{s.t.}\\quad image_i + \\delta \\in box,
\\quad \\exists t \\in targets_i:\\ x_t \\ge 1.2\\, x_j,\\ x_t \\ge x_j + gap\\quad
\\forall j \\ne t
```

Returns a [`UniversalResult`](@ref). Source: Moosavi-Dezfooli et al. (2017), Universal
adversarial perturbations, for the question.

## Arguments

 * `images`: a vector of images, each as for [`minimal_perturbation`](@ref).
 * `targets`: for each image a label, or several labels of which one shall be answered:
   `setdiff(0:9, d)` asks for any but `d`. They share one binary variable each.
 * `norm`, `margin`, `box`, `formulation` and the keywords of [`SearchOptions`](@ref): as
   for [`minimal_perturbation`](@ref).
 * `optimizer`: the same; for `norm = 2` one that takes integer quadratic programs, as
   SCIP and Gurobi do.
 * `bounds`: a bounding method, [`BallBounds`](@ref)`()` by default.
 * `incumbent`: a known change; `missing` (the default) searches one, `nothing` starts
   without.

## Errors

Those of [`minimal_perturbation`](@ref), and a `DimensionMismatch` unless there is a
target for each image.

## Example

```jldoctest
julia> using ReLUOpt

julia> layer = ReLUOpt.Dense([1.0 0.0; 0.0 1.0], [0.0, 0.0]);

julia> network = ReLUNetwork([layer, layer]);

julia> margin = AbsoluteMargin(0.1);

julia> result = universal_perturbation(network, [[0.6, 0.4], [0.5, 0.2]], [1, 1]; margin);

julia> result.status, round(result.objective; digits = 4)
(ReLUOpt.SolveStatus.OPTIMAL, 0.4)
```
"""
function universal_perturbation(
    network::ReLUNetwork,
    images::AbstractVector,
    targets::AbstractVector;
    norm::Union{Real,AbstractNorm} = 1,
    margin::AbstractMargin = RelativeMargin(0.2),
    box::Box = unit_box(input_size(network)),
    optimizer = HiGHS.Optimizer,
    formulation::AbstractFormulation = BigM(),
    bounds::AbstractBoundingMethod = BallBounds(),
    incumbent::Union{Nothing,Missing,AbstractArray{<:Real}} = missing,
    kwargs...,
)
    started = time()
    options = SearchOptions(; kwargs...)
    problem = UniversalProblem(network, images, targets; norm, margin, box)
    _check_exact(formulation)
    instance = configured_optimizer(optimizer, options)
    _check_universal(instance, problem)
    best = _starting_change(problem, incumbent, options)
    known = map(eachindex(problem.choices)) do i
        x = best === nothing ? nothing : changed_image(problem, i, best)
        return _known_bounds(first(problem.choices[i]), formulation, bounds, x)
    end
    if best === nothing && any(isempty, known)
        return UniversalResult(problem, _infeasible_result(time() - started))
    end
    left = max(options.time_limit - (time() - started), 1e-3)
    _limit_time!(instance, options.time_limit, left)
    model = solver_model(instance)
    program = _universal_program!(model, problem, known, formulation)
    best === nothing || _start_universal!(program, problem, best)
    build = time() - started
    search = optimize_model!(model, instance, options)
    found, claimed = nothing, nothing
    if JuMP.has_values(model)
        found = clip(problem.box, JuMP.value.(program.change.input))
        claimed = solved_pattern.(program.networks)
    end
    bound, infeasible = _solved_bound(model, problem, best)
    result = conclude(
        problem,
        best,
        found;
        claimed,
        bound,
        infeasible,
        nodes = _node_count(model),
        build,
        search,
        size = model_size(model),
        options,
        optimizer,
        termination_status = JuMP.termination_status(model),
        message = _solver_message(model, instance, options),
    )
    return UniversalResult(problem, result)
end

function _check_universal(instance::MOI.AbstractOptimizer, problem::UniversalProblem)
    check_integers(instance)
    if problem.norm isa L2 && !supports_integer_quadratic(instance)
        throw(
            UnsupportedProblemError(
                "optimizer $(solver_name(instance)): it takes no quadratic " *
                "objective together with integers; for norm = 2 use SCIP or Gurobi",
            ),
        )
    end
    return
end

function _starting_change(problem::UniversalProblem, ::Missing, options::SearchOptions)
    return find_incumbent(problem; time_limit = min(10.0, options.time_limit / 2))
end

_starting_change(::UniversalProblem, ::Nothing, ::SearchOptions) = nothing

function _starting_change(problem::UniversalProblem, given::AbstractArray, ::SearchOptions)
    delta = clip(problem.box, flat_image(given))
    certificate = check(problem, delta)
    if !certificate.certified
        throw(
            ArgumentError(
                "incumbent: expected a change for which all images meet their " *
                "conditions, found: $(first(certificate.failures))",
            ),
        )
    end
    return delta
end

"""
The change, a network for each image, and the binary variables of the images that have
several targets.
"""
struct UniversalProgram
    change::ChangeVariables
    networks::Vector{NetworkFormulation}
    choices::Vector{Vector{JuMP.VariableRef}}
end

function _universal_program!(
    model::JuMP.Model,
    problem::UniversalProblem,
    known::Vector{PreActivationBounds},
    formulation::AbstractFormulation,
)
    origin = zeros(input_size(problem.network))
    change = add_change!(model, problem.norm, origin, problem.box, formulation)
    networks, selectors = NetworkFormulation[], Vector{JuMP.VariableRef}[]
    for (bounds, choices) in zip(known, problem.choices)
        input = change.input .+ first(choices).image
        net = add_network!(model, problem.network, input; bounds, formulation)
        push!(networks, net)
        push!(selectors, _add_choices!(model, [c.conditions for c in choices], net))
    end
    JuMP.@objective(model, Min, change.objective)
    return UniversalProgram(change, networks, selectors)
end

"""
    _add_choices!(model, choices, net)

Require one of several [`LogitConditions`](@ref) of a network: ``C_t x^K \\ge d_t - M
(1 - u_t)`` and ``\\sum_t u_t = 1``, the least M by the bounds of the logits. Returns the
binary variables, none for a single choice.
"""
function _add_choices!(
    model::JuMP.Model,
    choices::Vector{LogitConditions},
    net::NetworkFormulation,
)
    if length(choices) == 1
        add_conditions!(model, only(choices), net.output)
        return JuMP.VariableRef[]
    end
    low, high = net.bounds.lower[end], net.bounds.upper[end]
    u = JuMP.@variable(model, [eachindex(choices)], Bin)
    JuMP.@constraint(model, sum(u) == 1)
    for (chosen, wanted) in zip(u, choices), r in eachindex(wanted.rhs)
        row, rhs = wanted.matrix[r, :], wanted.rhs[r]
        least = max.(row, 0.0)' * low + min.(row, 0.0)' * high
        value = linear_combination(row, net.output)
        JuMP.@constraint(model, value >= rhs - max(rhs - least, 0.0) * (1 - chosen))
    end
    return u
end

function _start_universal!(
    program::UniversalProgram,
    problem::UniversalProblem,
    delta::Vector{Float64},
)
    change = program.change
    JuMP.set_start_value.(change.variables, change.starts(delta))
    for (i, net) in enumerate(program.networks)
        set_start_values!(net, changed_image(problem, i, delta))
        u, nearest = program.choices[i], nearest_choice(problem, i, delta)
        JuMP.set_start_value.(u, eachindex(u) .== nearest)
    end
    return
end

function UniversalResult(problem::UniversalProblem, solved::PerturbationResult)
    delta = solved.image
    if delta === nothing
        return UniversalResult(nothing, Vector{Float64}[], Certificate[], solved)
    end
    images = [changed_image(problem, i, delta) for i in eachindex(problem.choices)]
    return UniversalResult(delta, images, certificates(problem, delta), solved)
end
