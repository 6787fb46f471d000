"""Slack beyond zero that the gradient search aims at, so that the image stays
feasible under rounding."""
const SEARCH_SLACK = 1e-7

"""How near to zero a pre-activation counts as sitting on its ReLU's kink."""
const KINK_TOLERANCE = 1e-7

"""Seconds after which the LP of a region is given up; it takes milliseconds."""
const REGION_SECONDS = 10.0

"""
    find_incumbent(problem; optimizer = HiGHS.Optimizer, max_steps = 500,
                   flips = 6, time_limit = 10.0)

A good feasible image for a [`PerturbationProblem`](@ref), or `nothing`.

Gradient steps lead to a first feasible image. Then the LP (QP for L2) of its
linear region is solved, the ReLUs that sit at zero are flipped one by one, and
this is repeated while it helps (at most `flips` regions a round).
"""
function find_incumbent(
    problem::PerturbationProblem;
    optimizer = HiGHS.Optimizer,
    max_steps::Int = 500,
    flips::Int = 6,
    time_limit::Real = 10.0,
)
    deadline = time() + time_limit
    best = _gradient_search(problem, max_steps)
    best === nothing && return nothing
    function improve!(pattern)
        time() < deadline || return false
        x0 = solve_region(problem, pattern; optimizer)
        x0 === nothing && return false
        # An interior-point or simplex tolerance must not count as progress.
        better = objective_of(problem, x0) < objective_of(problem, best) - 1e-7
        best = better ? x0 : best
        return better
    end
    improve!(activation_pattern(problem.network, best))
    while any(improve!, _neighbour_patterns(problem.network, best, flips))
    end
    return best
end

"""Patterns that differ from that of `x0` in one ReLU that sits at zero."""
function _neighbour_patterns(network::ReLUNetwork, x0, count::Int)
    pattern = activation_pattern(network, x0)
    neighbours = Vector{BitVector}[]
    for (k, a) in enumerate(pre_activations(network, x0)[1:end-1])
        for i in findall(v -> abs(v) <= KINK_TOLERANCE, a)
            flipped = deepcopy(pattern)
            flipped[k][i] = !flipped[k][i]
            push!(neighbours, flipped)
        end
    end
    return first(neighbours, count)
end

"""
First feasible image on a path of gradient steps on a soft minimum of the
slacks: the steepest pixels for L1, a normalised step for L2 and LInf.
"""
function _gradient_search(problem::PerturbationProblem, max_steps::Int)
    x = copy(problem.image)
    for _ in 1:max_steps
        g = _ascent_direction(problem, x)
        g === nothing && return x
        x = _stepped(problem, x, g)
        x === nothing && return nothing
    end
    return nothing
end

"""
Gradient of a soft minimum of the slacks at `x`, or `nothing` where they are all
large enough.
"""
function _ascent_direction(problem::PerturbationProblem, x::AbstractVector)
    slacks = slack(problem.conditions, forward(problem.network, x))
    worst = minimum(slacks; init = Inf)
    worst >= SEARCH_SLACK && return nothing
    # Soft minimum with a temperature of a tenth of the slacks' spread.
    temperature = max(0.1 * (maximum(slacks) - worst), 1e-3)
    weights = exp.(-(slacks .- worst) ./ temperature)
    return gradient(
        problem.network,
        x,
        problem.conditions.matrix' * (weights ./ sum(weights)),
    )
end

"""A step along `g` in the box, or `nothing` where there is no room for one."""
function _stepped(problem, x::Vector{Float64}, g::Vector{Float64})
    box = problem.box
    room = ifelse.(g .> 0, box.upper .- x, x .- box.lower)
    g = ifelse.(room .> 0, g, 0.0)
    iszero(g) && return nothing
    return clip(box, x + _ascent_step(problem.norm, g, room))
end

function _ascent_step(::L1, g::Vector{Float64}, room::Vector{Float64})
    i = argmax(abs.(g) .* min.(room, 0.25))
    step = zero(g)
    step[i] = sign(g[i]) * min(room[i], 0.25)
    return step
end

_ascent_step(::L2, g, room) = (0.1 / sqrt(sum(abs2, g))) .* g
_ascent_step(::LInf, g, room) = 0.01 .* sign.(g)

"""
    solve_region(problem, pattern; optimizer = HiGHS.Optimizer)

The best image of one linear region of the network: the LP (QP for L2, solved
without `optimizer`) in the pixels alone that remains when the activation
`pattern` is fixed. `nothing` if
the region holds no image that passes the [`check`](@ref).
"""
function solve_region(
    problem::PerturbationProblem,
    pattern::AbstractVector;
    optimizer = HiGHS.Optimizer,
)
    x0 = region_optimum(problem, _region_rows(problem, pattern)..., optimizer)
    x0 === nothing && return nothing
    x0 = clip(problem.box, x0)
    return check(problem, x0).certified ? x0 : nothing
end

"""
Rows ``G x^0 + h \\ge 0`` of a linear region: the phases of its neurons and the
conditions on its logits.
"""
function _region_rows(problem::PerturbationProblem, pattern::AbstractVector)
    maps = region_map(problem.network, pattern)
    signs = [ifelse.(active, 1.0, -1.0) for active in pattern]
    G, h = maps[end]
    wanted = problem.conditions
    blocks = [sign .* G for (sign, (G, _)) in zip(signs, maps)]
    offsets = [sign .* h for (sign, (_, h)) in zip(signs, maps)]
    return reduce(vcat, [blocks; [wanted.matrix * G]]),
    reduce(vcat, [offsets; [wanted.matrix * h - wanted.rhs]])
end

"""
    region_optimum(problem, G, h, optimizer)

Nearest image in the box with ``G x^0 + h \\ge 0``, or `nothing`. For L1 and LInf
a linear program for `optimizer`; for L2 the quadratic program is solved by
[`QuadraticSearch`](@ref).
"""
function region_optimum(problem::PerturbationProblem, G, h, optimizer)
    model = solver_model(optimizer, SearchOptions(; time_limit = REGION_SECONDS))
    change =
        add_change!(model, problem.norm, problem.image, problem.box, BigM())
    for r in eachindex(h)
        JuMP.@constraint(model, linear_combination(G[r, :], change.input, h[r]) >= 0)
    end
    JuMP.@objective(model, Min, change.objective)
    JuMP.optimize!(model)
    return JuMP.has_values(model) ? JuMP.value.(change.input) : nothing
end
