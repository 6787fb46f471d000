"""Below this product of `x` and `s` a ReLU counts as obeyed by a relaxation."""
const COMPLEMENTARITY_TOLERANCE = 1e-7

"""An incumbent that is better by this fraction pays for new ball bounds."""
const RESTART_IMPROVEMENT = 0.005

"""Nodes between two whose image is improved in its linear region."""
const POLISH_EVERY = 5

"""
A node of the tree: `phase[k][i]` is 1 (active), -1 (inactive) or 0 (open), and
`bound` the bound inherited from its parent.
"""
struct PhaseNode
    phase::Vector{Vector{Int8}}
    bound::Float64
end

"""What the search has so far; `objective` is that of `best`, or the cutoff."""
Base.@kwdef mutable struct SearchState
    const problem::PerturbationProblem{L2}
    const options::SearchOptions
    const deadline::Float64
    best::Union{Nothing,Vector{Float64}}
    objective::Float64
    nodes::Int = 0
    stopped::Union{Nothing,MOI.TerminationStatusCode} = nothing
end

"""
    run_search(::PhaseSearch, problem, bounds, best, setting, options, spent)

Branch and bound over ReLU phases for L2.

Each node fixes some ReLUs as active (``s = 0``) or inactive (``x = 0``) and
solves the [`QuadraticRelaxation`](@ref) of the others; its bound is a
[`dual_bound`](@ref), valid whatever the solver's tolerances were. The images of
relaxations give incumbents through the QP of their linear region, and a better
incumbent at the root gives tighter ball bounds. Depth first until there is an
incumbent, best bound first after.
"""
function run_search(
    ::PhaseSearch,
    problem::PerturbationProblem{L2},
    bounds::PreActivationBounds,
    best::Union{Nothing,Vector{Float64}},
    setting::NamedTuple,
    options::SearchOptions,
    spent::Float64,
)
    started = time()
    search = SearchState(;
        problem,
        options,
        deadline = started + options.time_limit,
        best,
        objective = best === nothing ? setting.cutoff : objective_of(problem, best),
    )
    qp, bounds = _root(search, bounds)
    build = spent + time() - started
    seconds = @elapsed bound = _explore!(search, qp, bounds)
    infeasible = search.best === nothing && bound > _cutoff(search)
    return conclude(
        problem,
        search.best,
        nothing;
        claimed = nothing,
        bound = max(bound, 0.0),
        infeasible,
        search.nodes,
        build,
        search = seconds,
        size = (;
            variables = length(qp.program.lower),
            constraints = length(qp.program.rhs),
            binaries = unstable_count(bounds),
        ),
        options,
        termination_status = something(
            search.stopped,
            infeasible ? MOI.INFEASIBLE : MOI.OPTIMAL,
        ),
        message = search.stopped === nothing ? "search complete" :
                  "stopped by a limit",
    )
end

"""Rounds of relaxation, incumbent and ball bounds, until they stop helping."""
function _root(search::SearchState, bounds::PreActivationBounds)
    qp = QuadraticRelaxation(search.problem, bounds)
    while time() < search.deadline
        solved = solve_pixel_program(qp.program; cutoff = _cutoff(search))
        before = search.objective
        _try_image!(search, solved.point; polish = true)
        if !(search.objective < before * (1 - RESTART_IMPROVEMENT))
            break
        end
        region = improving_region(search.problem, search.objective)
        network = search.problem.network
        bounds = intersect(
            bounds,
            pre_activation_bounds(LinearBounds(), network, region),
        )
        isempty(bounds) && break
        qp = QuadraticRelaxation(search.problem, bounds)
    end
    return qp, bounds
end

"""Objective below which a node can still improve on the incumbent."""
function _cutoff(search::SearchState)
    isfinite(search.objective) || return 1.0 + 2 * farthest_objective(search.problem)
    # Half the gap is left for rounding.
    return search.objective - search.options.gap / 2 * search.objective
end

"""Search the tree; returns the proven bound."""
function _explore!(search::SearchState, qp::QuadraticRelaxation, bounds)
    open = [PhaseNode([zeros(Int8, length(l)) for l in bounds.lower[1:end-1]], 0.0)]
    pruned = Inf
    while !isempty(open)
        _interrupted!(search, open) && break
        node = _next_node!(search, open)
        if node.bound > _cutoff(search)
            pruned = min(pruned, node.bound)
            continue
        end
        search.nodes += 1
        bound, children = _branch!(search, qp, bounds, node)
        isempty(children) && (pruned = min(pruned, bound))
        append!(open, children)
    end
    return minimum(n.bound for n in open; init = pruned)
end

"""The newest node until there is an incumbent, then the one with the lowest bound:
each of them has to be solved anyway, and the proven bound rises."""
function _next_node!(search::SearchState, open::Vector{PhaseNode})
    search.best === nothing && return pop!(open)
    return popat!(open, argmin([node.bound for node in open]))
end

"""Whether time is up or the callback wants to stop."""
function _interrupted!(search::SearchState, open::Vector{PhaseNode})
    callback = search.options.callback
    if time() > search.deadline
        search.stopped = MOI.TIME_LIMIT
    elseif callback !== nothing && search.nodes % 8 == 0
        bound = minimum(n.bound for n in open)
        if callback(search.objective, bound, search.nodes) === true
            search.stopped = MOI.INTERRUPTED
        end
    end
    return search.stopped !== nothing
end

"""Solve one node: its bound, and its children (none when it is done)."""
function _branch!(search::SearchState, qp, bounds, node::PhaseNode)
    lower, upper, tightened = _node_box(search, qp, bounds, node)
    tightened === nothing && return Inf, PhaseNode[]
    solved = solve_pixel_program(qp.program, lower, upper; cutoff = _cutoff(search))
    bound, v = max(solved.bound, node.bound), solved.point
    bound > _cutoff(search) && return bound, PhaseNode[]
    k, i = _branching_neuron(qp, tightened, v, solved.multipliers)
    _try_image!(search, v; polish = k == 0 || search.nodes % POLISH_EVERY == 1)
    if bound > _cutoff(search)
        return bound, PhaseNode[]
    elseif k == 0
        # Every ReLU is obeyed within tolerances, but no image of that value was
        # found: a kink decides. Fix the neurons that are still open.
        k, i = _open_neuron(qp, tightened, upper)
        k == 0 && return bound, PhaseNode[]
    end
    a = v[qp.neuron[k][i].x] - v[qp.neuron[k][i].s]
    first_phase = Int8(a > 0 ? 1 : -1)
    children = map((-first_phase, first_phase)) do side
        phase = deepcopy(tightened)
        phase[k][i] = side
        return PhaseNode(phase, bound)
    end
    return bound, collect(children)
end

"""
Bounds of the relaxation's variables in a node, and its phases with those that
linear bounds over the incumbent's ball add; `nothing` for the phases when they
contradict each other.
"""
function _node_box(search::SearchState, qp, bounds, node::PhaseNode)
    lower, upper = copy(qp.program.lower), copy(qp.program.upper)
    function tighten!(k, low, high)
        low .= max.(low, bounds.lower[k])
        high .= min.(high, bounds.upper[k])
        k <= length(node.phase) || return
        for i in eachindex(low)
            node.phase[k][i] > 0 && (low[i] = max(low[i], 0.0))
            node.phase[k][i] < 0 && (high[i] = min(high[i], 0.0))
        end
        return
    end
    region = InputRegion(search.problem.box)
    if isfinite(search.objective)
        region = improving_region(search.problem, search.objective)
    end
    local_bounds = linear_bounds(search.problem.network, region, tighten!)
    # Rounding must not empty a neuron's interval: only clear gaps count.
    if any(
        any(l .> u .+ 1e-7) for
        (l, u) in zip(local_bounds.lower, local_bounds.upper)
    )
        return lower, upper, nothing
    end
    phase = deepcopy(node.phase)
    for k in eachindex(phase), i in eachindex(phase[k])
        columns = qp.neuron[k][i]
        columns === nothing && continue
        l, u = local_bounds.lower[k][i], local_bounds.upper[k][i]
        if phase[k][i] == 0
            l >= 0 && (phase[k][i] = 1)
            u <= 0 && (phase[k][i] = -1)
        end
        upper[columns.x] = phase[k][i] < 0 ? 0.0 : min(upper[columns.x], max(u, 0.0))
        upper[columns.s] = phase[k][i] > 0 ? 0.0 : min(upper[columns.s], max(-l, 0.0))
    end
    return lower, upper, phase
end

"""
The open neuron whose ReLU the relaxation breaks most, weighted by how much its
row matters for the bound; `(0, 0)` when all are obeyed.
"""
function _branching_neuron(qp::QuadraticRelaxation, phase, v, y)
    best, choice = 0.0, (0, 0)
    for k in eachindex(phase), i in eachindex(phase[k])
        columns = qp.neuron[k][i]
        (columns === nothing || phase[k][i] != 0) && continue
        gap = min(v[columns.x], v[columns.s])
        gap <= COMPLEMENTARITY_TOLERANCE && continue
        score = gap * (abs(y[columns.row]) + 1e-6)
        if score > best
            best, choice = score, (k, i)
        end
    end
    return choice
end

"""The open neuron with the widest interval; `(0, 0)` when none is left."""
function _open_neuron(qp::QuadraticRelaxation, phase, upper)
    best, choice = 0.0, (0, 0)
    for k in eachindex(phase), i in eachindex(phase[k])
        columns = qp.neuron[k][i]
        (columns === nothing || phase[k][i] != 0) && continue
        width = min(upper[columns.x], upper[columns.s])
        if width > best
            best, choice = width, (k, i)
        end
    end
    return choice
end

"""Take the relaxation's image, or the optimum of its region, if it is better."""
function _try_image!(search::SearchState, v::Vector{Float64}; polish::Bool)
    problem = search.problem
    x0 = clip(problem.box, v[1:length(problem.image)])
    _take!(search, x0)
    if polish
        pattern = activation_pattern(problem.network, x0)
        found = solve_region(problem, pattern)
        found === nothing || _take!(search, found)
    end
    return
end

function _take!(search::SearchState, x0::Vector{Float64})
    objective = objective_of(search.problem, x0)
    if objective < search.objective && check(search.problem, x0).certified
        search.best, search.objective = x0, objective
    end
    return
end
