"""
    RegionSearch(problem, decides, setting)

What is known of a [`RegionProblem`](@ref) while it is being solved: for each
alternative the checked input `images[i]` with the highest `values[i]`, and proven
`bounds[i]`. `decides` asks for the sign alone; `setting` holds `optimizer`,
`formulation`, pre-activation `known` bounds and `options`.
"""
mutable struct RegionSearch{P<:RegionProblem,S<:NamedTuple}
    problem::P
    decides::Bool
    setting::S
    tolerance::Float64
    images::Vector{Union{Nothing,Vector{Float64}}}
    values::Vector{Float64}
    bounds::Vector{Float64}
    termination_status::MOI.TerminationStatusCode
    nodes::Int
    build::Float64
    seconds::Float64
    size::NamedTuple
    message::String
    contradicted::Bool
end

function RegionSearch(problem::RegionProblem, decides::Bool, setting::NamedTuple)
    count = length(problem.alternatives)
    return RegionSearch(
        problem,
        decides,
        setting,
        logit_tolerance(forward(problem.network, problem.region.center)),
        Union{Nothing,Vector{Float64}}[nothing for _ in 1:count],
        fill(-Inf, count),
        fill(Inf, count),
        MOI.OPTIMIZE_NOT_CALLED,
        0,
        0.0,
        0.0,
        (; variables = 0, constraints = 0, binaries = 0),
        "",
        false,
    )
end

best_value(search::RegionSearch) = maximum(search.values)
proven_value(search::RegionSearch) = maximum(search.bounds)

"""Whether nothing more about alternative `i` is asked for."""
function is_settled(search::RegionSearch, i::Int)
    best, bound = best_value(search), search.bounds[i]
    if search.decides
        return best >= 0 || bound < -search.tolerance
    end
    return bound <= best || relative_gap(best, bound) <= search.setting.options.gap
end

"""Keep `x0` for alternative `i` if it passes the check and is better."""
function offer!(search::RegionSearch, i::Int, x0::Vector{Float64})
    problem = search.problem
    point = clip(problem.region, x0)
    certificate = check(problem, problem.alternatives[i], point)
    if certificate.certified && certificate.objective > search.values[i]
        search.images[i], search.values[i] = point, certificate.objective
    end
    return certificate
end

"""
    solve_region_problem(problem; decides, optimizer, formulation, bounds, options)

Solve a [`RegionProblem`](@ref), the most promising alternative first: by ascent, by
linear bounds, and by one program for each alternative that these leave open. Returns
a [`RegionSearch`](@ref).
"""
function solve_region_problem(
    problem::RegionProblem;
    decides::Bool,
    optimizer,
    formulation::AbstractFormulation,
    bounds::Union{AbstractBoundingMethod,PreActivationBounds},
    options::SearchOptions,
)
    started = time()
    _check_exact(formulation)
    _check_region(configured_optimizer(optimizer, options), problem.region)
    search = RegionSearch(problem, decides, (; optimizer, formulation, options))
    for (i, alternative) in enumerate(problem.alternatives)
        x0 = ascend(problem, alternative)
        x0 === nothing || offer!(search, i, x0)
    end
    known = _region_bounds(problem, bounds)
    for (i, alternative) in enumerate(problem.alternatives)
        bound = linear_bound(problem, alternative, known)
        # Rounding must not place a bound below a checked input.
        search.bounds[i] = max(bound, search.values[i])
    end
    search.build += time() - started
    order = sortperm(search.bounds; rev = true)
    for (place, i) in enumerate(order)
        is_settled(search, i) && continue
        left = started + options.time_limit - time()
        left > 0 || break
        open = count(j -> !is_settled(search, j), view(order, place:length(order)))
        solve_alternative!(search, i, known, left / open)
    end
    return search
end

function _region_bounds(problem::RegionProblem, method::AbstractBoundingMethod)
    return pre_activation_bounds(method, problem.network, problem.region)
end

function _region_bounds(problem::RegionProblem, given::PreActivationBounds)
    _check_bounds(problem.network, given)
    return given
end

"""Refuse an optimizer that does not take the program of a region."""
function _check_region(instance::MOI.AbstractOptimizer, region::InputRegion)
    check_integers(instance)
    if region.norm isa L2 && isfinite(region.radius) && !supports_balls(instance)
        throw(
            UnsupportedProblemError(
                "optimizer $(solver_name(instance)): it takes no quadratic " *
                "constraint, which an L2 ball needs; SCIP and Gurobi do",
            ),
        )
    end
    return
end

"""
    supports_balls(optimizer)

Whether the optimizer takes convex quadratic constraints, as MathOptInterface tells it.
"""
function supports_balls(optimizer::MOI.AbstractOptimizer)
    quadratic = MOI.ScalarQuadraticFunction{Float64}
    return MOI.supports_constraint(optimizer, quadratic, MOI.LessThan{Float64})
end

"""The program of one alternative, and what the optimizer says of it."""
function solve_alternative!(
    search::RegionSearch,
    i::Int,
    known::PreActivationBounds,
    time_limit::Float64,
)
    started = time()
    problem, setting = search.problem, search.setting
    options = _with_stop(search, i, setting.options, max(time_limit, 1e-3))
    instance = configured_optimizer(setting.optimizer, options)
    model = solver_model(instance)
    change = add_region!(model, problem.region, setting.formulation)
    net = add_network!(
        model,
        problem.network,
        change.input;
        bounds = known,
        setting.formulation,
    )
    alternative = problem.alternatives[i]
    add_conditions!(model, alternative.conditions, net.output)
    goal, worst = add_goal!(model, alternative.goal, net.output)
    JuMP.@objective(model, Max, goal)
    start = search.images[i]
    if start !== nothing
        JuMP.set_start_value.(change.variables, change.starts(start))
        set_start_values!(net, start)
        worst === nothing || JuMP.set_start_value(worst, search.values[i])
    end
    search.build += time() - started
    search.seconds += optimize_model!(model, instance, options)
    _take_answer!(search, i, model, change)
    return
end

"""
The smallest slack of `goal` as an expression to be maximised: the only row itself, or
a variable below all of them, which is the second value.
"""
function add_goal!(
    model::JuMP.Model,
    goal::LogitConditions,
    output::Vector{JuMP.AffExpr},
)
    rows = map(eachindex(goal.rhs)) do r
        return linear_combination(goal.matrix[r, :], output, -goal.rhs[r])
    end
    length(rows) == 1 && return only(rows), nothing
    worst = JuMP.@variable(model)
    JuMP.@constraint(model, [r in eachindex(rows)], worst <= rows[r])
    return convert(JuMP.AffExpr, worst), worst
end

"""`options` whose callback also stops when alternative `i` is settled."""
function _with_stop(
    search::RegionSearch,
    i::Int,
    options::SearchOptions,
    time_limit::Float64,
)
    given, before = options.callback, search.nodes
    function callback(objective, bound, nodes)
        best = max(best_value(search), objective)
        proven = min(bound, search.bounds[i])
        settled = proven <= best_value(search)
        if search.decides
            settled = objective >= 0 || proven < -search.tolerance
        end
        given === nothing && return settled
        return given(best, max(proven, best), before + nodes) === true || settled
    end
    (; gap, threads, seed, verbose) = options
    return SearchOptions(; time_limit, gap, threads, seed, verbose, callback)
end

"""Add what a solved program says of alternative `i` to what is known."""
function _take_answer!(
    search::RegionSearch,
    i::Int,
    model::JuMP.Model,
    change::ChangeVariables,
)
    search.termination_status = JuMP.termination_status(model)
    search.nodes += _node_count(model)
    size = model_size(model)
    if size.variables > search.size.variables
        search.size = size
    end
    bound, said = something(proven_bound(model), Inf), JuMP.raw_status(model)
    if search.termination_status == MOI.INFEASIBLE
        bound = -Inf
    elseif JuMP.has_values(model)
        certificate = offer!(search, i, JuMP.value.(change.input))
        if !certificate.certified
            failure = first(certificate.failures)
            said = "an input of the optimizer was refused: $failure"
        end
    end
    # With conditions or not, no bound lies below a checked input; HiGHS was seen to
    # call programs infeasible in which many inputs meet every row.
    if bound < search.values[i] - search.tolerance || _denies_all(search, i, bound)
        search.contradicted = true
        search.message = "the optimizer's bound $bound is below a checked input"
        return
    end
    search.bounds[i] = max(min(search.bounds[i], bound), search.values[i])
    is_settled(search, i) || (search.message = said)
    return
end

"""Whether a program without conditions, which every input meets, is called infeasible."""
function _denies_all(search::RegionSearch, i::Int, bound::Float64)
    return bound == -Inf && isempty(search.problem.alternatives[i].conditions.rhs)
end

"""The answer of a search, with the status that follows from it."""
function region_result(search::RegionSearch, status)
    objective, i = findmax(search.values)
    image = search.images[i]
    bound = proven_value(search)
    problem = search.problem
    return RegionResult{typeof(status)}(;
        status,
        search.termination_status,
        objective,
        bound,
        gap = relative_gap(objective, bound),
        image,
        target = image === nothing ? -1 : problem.alternatives[i].target,
        certificate = image === nothing ? nothing :
                      check(problem, problem.alternatives[i], image),
        search.nodes,
        build_seconds = search.build,
        search_seconds = search.seconds,
        search.size...,
        search.message,
    )
end
