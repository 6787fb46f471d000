"""
    minimal_perturbation(network, image, target; norm = 1, kwargs...)

The image nearest to `image` that the network classifies as `target` with a
margin, proven to be so:

```math
\\min_{x^0 \\in box} \\|x^0 - image\\| \\quad\\text{s.t.}\\quad
x_t \\ge 1.2\\, x_j,\\ x_t \\ge x_j + gap\\quad \\forall j \\ne t
```

Returns a [`PerturbationResult`](@ref). Source: Fischetti & Jo (2018) for the
question, Grimstad & Andersson (2019) for the program.

## Arguments

 * `network`: a [`ReLUNetwork`](@ref).
 * `image`: ``n_0`` pixels, or an array (see [`flat_image`](@ref)).
 * `target`: the label that shall be answered, counted from 0.
 * `norm`: `1` minimises ``\\sum |\\delta|`` (a MILP), `2` minimises
   ``\\sum \\delta^2`` (a MIQP), `Inf` minimises ``\\max |\\delta|`` (a MILP).
 * `margin`: [`RelativeMargin`](@ref)`(0.2)` by default, another margin, or
   [`LogitConditions`](@ref).
 * `box`: inputs allowed, ``[0, 1]`` for every pixel by default.
 * `optimizer`: as for `JuMP.Model`; attributes of an
   `optimizer_with_attributes` win over everything else
   ([`configured_optimizer`](@ref)).
 * `search`: [`AutomaticSearch`](@ref)`()`, [`PhaseSearch`](@ref)`()` (L2 only) or
   [`ProgramSearch`](@ref)`()`.
 * `formulation`: [`BigM`](@ref)`()`, [`Indicator`](@ref)`()` or
   [`ThesisBigM`](@ref)`()`.
 * `bounds`: a bounding method ([`BallBounds`](@ref)`()` by default), or
   [`PreActivationBounds`](@ref) that hold for every input at least as good as
   the incumbent.
 * `incumbent`: a known feasible image; `missing` (the default) searches one
   with [`find_incumbent`](@ref); `nothing` starts without.
 * `cutoff`: only images with a smaller objective are of interest; `INFEASIBLE`
   then means that there is none.
 * all keywords of [`SearchOptions`](@ref).

## Errors

 * `DimensionMismatch` where sizes do not fit, `ArgumentError` for a value out of
   its range, a tolerance that is too loose, or an incumbent that does not meet
   the conditions.
 * [`UnsupportedProblemError`](@ref) if the optimizer takes no such program.

## Example

```jldoctest
julia> using ReLUOpt

julia> layer = ReLUOpt.Dense([1.0 0.0; 0.0 1.0], [0.0, 0.0]);

julia> network = ReLUNetwork([layer, layer]);

julia> result = minimal_perturbation(network, [1.0, 0.2], 1; margin = AbsoluteMargin(0.5));

julia> result.status, round(result.objective; digits = 6)
(ReLUOpt.SolveStatus.OPTIMAL, 1.3)
```
"""
function minimal_perturbation(
    network::ReLUNetwork,
    image::AbstractArray{<:Real},
    target::Integer;
    norm::Union{Real,AbstractNorm} = 1,
    margin::Union{AbstractMargin,LogitConditions} = RelativeMargin(0.2),
    box::Box = unit_box(input_size(network)),
    optimizer = HiGHS.Optimizer,
    search::AbstractSearch = AutomaticSearch(),
    formulation::AbstractFormulation = BigM(),
    bounds::Union{AbstractBoundingMethod,PreActivationBounds} = BallBounds(),
    incumbent::Union{Nothing,Missing,AbstractArray{<:Real}} = missing,
    cutoff::Real = Inf,
    kwargs...,
)
    options = SearchOptions(; kwargs...)
    problem = PerturbationProblem(network, image, target; norm, margin, box)
    # Refuse what cannot be solved before any time is spent.
    _check_exact(formulation)
    instance = configured_optimizer(optimizer, options)
    chosen = chosen_search(search, problem, instance)
    started = time()
    best = _starting_image(problem, incumbent, options)
    if best !== nothing && objective_of(problem, best) >= cutoff
        best = nothing
    end
    known = _known_bounds(problem, formulation, bounds, best)
    spent = time() - started
    if best === nothing && isempty(known)
        return _infeasible_result(spent)
    end
    time_limit = max(options.time_limit - spent, 1e-3)
    left = SearchOptions(; kwargs..., time_limit)
    _limit_time!(instance, options.time_limit, time_limit)
    setting = (; formulation, optimizer, instance, cutoff = Float64(cutoff))
    return run_search(chosen, problem, known, best, setting, left, spent)
end

function _check_exact(formulation::AbstractFormulation)
    if !is_exact(formulation)
        throw(
            ArgumentError(
                "formulation: expected one whose solutions are those of the " *
                "network (BigM, Indicator or ThesisBigM), found the " *
                "relaxation $formulation",
            ),
        )
    end
    return
end

function _starting_image(problem, ::Missing, options::SearchOptions)
    return find_incumbent(problem; time_limit = min(10.0, options.time_limit / 2))
end

_starting_image(problem, ::Nothing, options) = nothing

function _starting_image(problem, given::AbstractArray{<:Real}, options)
    x0 = clip(problem.box, _checked_image(problem.network, given))
    certificate = check(problem, x0)
    if !certificate.certified
        throw(
            ArgumentError(
                "incumbent: expected an image that meets the conditions, " *
                "found: $(first(certificate.failures))",
            ),
        )
    end
    return x0
end

function _known_bounds(problem, ::AbstractFormulation, method, best)
    region = InputRegion(problem.box)
    if method isa BallBounds && best !== nothing
        region = improving_region(problem, objective_of(problem, best))
    end
    return pre_activation_bounds(method, problem.network, region)
end

function _known_bounds(problem, ::AbstractFormulation, given::PreActivationBounds, best)
    _check_bounds(problem.network, given)
    return given
end

# The thesis' program brings its own bounds.
function _known_bounds(problem, f::ThesisBigM, method::AbstractBoundingMethod, best)
    return _formulation_bounds(f, problem.network, nothing, ())
end

function _known_bounds(problem, f::ThesisBigM, ::PreActivationBounds, best)
    return _formulation_bounds(f, problem.network, nothing, ())
end

function _infeasible_result(spent::Float64)
    return PerturbationResult(;
        status = SolveStatus.INFEASIBLE,
        termination_status = MOI.INFEASIBLE,
        bound = Inf,
        build_seconds = spent,
        message = "no input of the box has pre-activations within their bounds",
    )
end

"""The mixed-integer program in JuMP, and what the optimizer says of it."""
function run_search(
    ::ProgramSearch,
    problem::PerturbationProblem,
    bounds::PreActivationBounds,
    best::Union{Nothing,Vector{Float64}},
    setting::NamedTuple,
    options::SearchOptions,
    spent::Float64,
)
    started = time()
    formulation = setting.formulation
    instance = setting.instance
    model = solver_model(instance)
    change =
        add_change!(model, problem.norm, problem.image, problem.box, formulation)
    net = add_network!(model, problem.network, change.input; bounds, formulation)
    add_conditions!(model, problem.conditions, net.output)
    JuMP.@objective(model, Min, change.objective)
    if isfinite(setting.cutoff) && best === nothing
        JuMP.@constraint(model, change.objective <= setting.cutoff)
    end
    if best !== nothing
        JuMP.set_start_value.(change.variables, change.starts(best))
        set_start_values!(net, best)
    end
    build = spent + time() - started
    search = optimize_model!(model, instance, options)
    found, claimed = _solved_image(model, problem, change, net)
    bound, infeasible = _solved_bound(model, problem, best)
    nodes = _node_count(model)
    return conclude(
        problem,
        best,
        found;
        claimed,
        bound,
        infeasible,
        nodes,
        build,
        search,
        size = model_size(model),
        options,
        setting.optimizer,
        termination_status = JuMP.termination_status(model),
        message = _solver_message(model, instance, options),
    )
end

"""What the solver says, and whether an attribute of the user ended it early."""
function _solver_message(model, instance, options::SearchOptions)
    said = JuMP.raw_status(model)
    if MOI.supports(instance, MOI.RelativeGapTolerance())
        gap = MOI.get(instance, MOI.RelativeGapTolerance())
        if gap !== nothing && gap > options.gap
            said *= "; the optimizer's own relative gap is $gap, `gap` is $(options.gap)"
        end
    end
    return said
end

"""Image and activation pattern of the solver's solution, or `nothing`s."""
function _solved_image(model, problem, change, net)
    JuMP.has_values(model) || return nothing, nothing
    x0 = clip(problem.box, JuMP.value.(change.input))
    return x0, solved_pattern(net)
end

"""Proven lower bound, and whether the solver proved infeasibility."""
function _solved_bound(model, problem, best)
    status = JuMP.termination_status(model)
    if status == MOI.INFEASIBLE || status == MOI.INFEASIBLE_OR_UNBOUNDED
        # With bounds that only hold near the incumbent, nothing better exists.
        best === nothing && return Inf, true
        return objective_of(problem, best), false
    end
    # No change is smaller than none.
    return max(something(proven_bound(model), 0.0), 0.0), false
end

function _node_count(model::JuMP.Model)
    try
        # HiGHS counts -1 nodes when presolve leaves nothing to search.
        return max(Int(JuMP.node_count(model)), 0)
    catch err
        err isa InterruptException && rethrow()
        return 0
    end
end

"""
    model_size(model)

Named tuple of the numbers of `variables`, `constraints` (rows, without bounds
and integrality) and `binaries` of a JuMP model.
"""
function model_size(model::JuMP.Model)
    return (;
        variables = JuMP.num_variables(model),
        constraints = JuMP.num_constraints(
            model;
            count_variable_in_set_constraints = false,
        ),
        binaries = JuMP.num_constraints(model, JuMP.VariableRef, MOI.ZeroOne),
    )
end

"""
    conclude(problem, best, found; ...)

Turn what a search claims into a checked [`PerturbationResult`](@ref).

`best` is the incumbent it started from and `found` its image (either may be
`nothing`), `claimed` the activation pattern that belongs to `found`. The linear
region of that pattern is solved once more with the phases fixed, which removes
what integrality tolerances let through; the best image that passes the check is
the answer.
"""
function conclude(
    problem::Union{PerturbationProblem,UniversalProblem},
    best::Union{Nothing,Vector{Float64}},
    found::Union{Nothing,Vector{Float64}};
    claimed,
    bound::Float64,
    infeasible::Bool,
    nodes::Int,
    build::Float64,
    search::Float64,
    size,
    options::SearchOptions,
    optimizer = HiGHS.Optimizer,
    termination_status::MOI.TerminationStatusCode,
    message::String = "",
)
    candidates = Vector{Float64}[]
    best === nothing || push!(candidates, best)
    if found !== nothing
        push!(candidates, found)
        polished = _polished(problem, found, claimed, optimizer)
        polished === nothing || push!(candidates, polished)
    end
    certificates = [check(problem, x0) for x0 in candidates]
    passed = findall(c -> c.certified, certificates)
    status, chosen = SolveStatus.TIME_LIMIT, nothing
    objective = Inf
    if !isempty(passed)
        chosen = passed[argmin([certificates[i].objective for i in passed])]
        objective = certificates[chosen].objective
        status = SolveStatus.FEASIBLE
        # Rounding in the bound must not place it above a checked image.
        bound = min(bound, objective)
        if relative_gap(objective, bound) <= options.gap
            status = SolveStatus.OPTIMAL
        end
    elseif !isempty(candidates)
        status, chosen = SolveStatus.NUMERICAL, length(candidates)
        objective = certificates[chosen].objective
        message = first(certificates[chosen].failures)
    elseif infeasible
        status, bound = SolveStatus.INFEASIBLE, Inf
    end
    return PerturbationResult(;
        status,
        termination_status,
        objective,
        bound,
        gap = relative_gap(objective, bound),
        image = chosen === nothing ? nothing : candidates[chosen],
        certificate = chosen === nothing ? nothing : certificates[chosen],
        nodes,
        build_seconds = build,
        search_seconds = search,
        size...,
        message,
    )
end

"""The optimum of the region that `found` claims to lie in, if it is better or
if `found` itself does not pass the check."""
function _polished(problem::PerturbationProblem, found, pattern, optimizer)
    certificate = check(problem, found)
    forward_pattern = activation_pattern(problem.network, found)
    if certificate.certified && forward_pattern == pattern
        return nothing
    end
    return solve_region(problem, pattern; optimizer)
end
