"""
    UniversalProblem(network, images, targets; norm = 1, margin, box)

The smallest change ``\\delta`` that, added to every one of some images, makes
`network` answer a target of each:

```math
\\min_\\delta \\|\\delta\\| \\quad\\text{s.t.}\\quad image_i + \\delta \\in box,
\\quad \\exists t \\in targets_i: C_t\\, x^K(image_i + \\delta) \\ge d_t
```

`choices[i]` are the [`PerturbationProblem`](@ref)s of image ``i``, one for each target
of it; `box` are the limits that all images leave the change.
"""
struct UniversalProblem{N<:AbstractNorm}
    network::ReLUNetwork
    norm::N
    choices::Vector{Vector{PerturbationProblem{N}}}
    box::Box
end

function UniversalProblem(
    network::ReLUNetwork,
    images::AbstractVector,
    targets::AbstractVector;
    norm::Union{Real,AbstractNorm} = 1,
    margin::AbstractMargin = RelativeMargin(0.2),
    box::Box = unit_box(input_size(network)),
)
    if isempty(images) || length(images) != length(targets)
        throw(
            DimensionMismatch(
                "targets: expected as many as images, and at least one, found " *
                "$(length(targets)) for $(length(images))",
            ),
        )
    end
    points = [_checked_image(network, image) for image in images]
    foreach(x -> _check_image_in_box(x, box), points)
    lower = reduce((a, b) -> max.(a, b), [box.lower - x for x in points])
    upper = reduce((a, b) -> min.(a, b), [box.upper - x for x in points])
    chosen = convert(AbstractNorm, norm)
    choices = map(points, targets) do x, labels
        own = Box(max.(box.lower, x + lower), min.(box.upper, x + upper))
        if isempty(labels)
            throw(ArgumentError("targets: expected a label of each image, found none"))
        end
        return [
            PerturbationProblem(network, x, t; norm = chosen, margin, box = own) for
            t in Int[labels...]
        ]
    end
    return UniversalProblem(network, chosen, choices, Box(lower, upper))
end

"""Image `i` with the change `delta`."""
function changed_image(problem::UniversalProblem, i::Int, delta::AbstractVector)
    first_choice = first(problem.choices[i])
    return clip(first_choice.box, first_choice.image + delta)
end

objective_of(problem::UniversalProblem, delta) = change_objective(problem.norm, delta)

"""The number of the target of image `i` that is nearest to being answered."""
function nearest_choice(problem::UniversalProblem, i::Int, delta::AbstractVector)
    x = changed_image(problem, i, delta)
    return argmax(choice -> smallest_slack(problem.choices[i][choice], x), eachindex(problem.choices[i]))
end

"""The [`Certificate`](@ref) of each changed image, for its nearest target."""
function certificates(problem::UniversalProblem, delta::AbstractVector)
    return map(eachindex(problem.choices)) do i
        choice = problem.choices[i][nearest_choice(problem, i, delta)]
        return check(choice, changed_image(problem, i, delta))
    end
end

function check(problem::UniversalProblem, delta::AbstractVector{<:Real})
    each = certificates(problem, delta)
    outside = violation(problem.box, delta)
    failures = reduce(
        vcat,
        [["image $i: $f" for f in c.failures] for (i, c) in enumerate(each)],
    )
    if !(outside <= BOX_TOLERANCE)
        push!(failures, "the change leaves its box by $outside")
    end
    return Certificate(
        isempty(failures),
        failures,
        first(each).predicted,
        objective_of(problem, delta),
        minimum(c.margin for c in each),
        minimum(c.lead for c in each),
        outside,
        reduce(vcat, [c.logits for c in each]),
    )
end

"""
    find_incumbent(problem::UniversalProblem; optimizer, max_steps, time_limit)

A good change by gradient steps of all images together, shortened and improved by the
linear regions in which they lie; `nothing` if none was found.
"""
function find_incumbent(
    problem::UniversalProblem;
    optimizer = HiGHS.Optimizer,
    max_steps::Int = 500,
    time_limit::Real = 10.0,
)
    deadline = time() + time_limit
    best = _gradient_search(problem, max_steps)
    best === nothing && return nothing
    best = _shortened(problem, best)
    while time() < deadline
        patterns = [
            activation_pattern(problem.network, changed_image(problem, i, best)) for
            i in eachindex(problem.choices)
        ]
        delta = solve_region(problem, patterns, best; optimizer)
        delta === nothing && break
        better = objective_of(problem, delta) < objective_of(problem, best) - 1e-7
        better || break
        best = delta
    end
    return best
end

function _gradient_search(problem::UniversalProblem, max_steps::Int)
    delta = zeros(input_size(problem.network))
    for _ in 1:max_steps
        total, pending = zero(delta), false
        for (i, choices) in enumerate(problem.choices)
            x = changed_image(problem, i, delta)
            g = _ascent_direction(choices[nearest_choice(problem, i, delta)], x)
            g === nothing && continue
            pending = true
            total .+= g ./ max(LinearAlgebra.norm(g), floatmin())
        end
        pending || return delta
        delta = _stepped(problem, delta, total)
        delta === nothing && return nothing
    end
    return nothing
end

"""Halvings of the way back to no change at all."""
const SHORTENING_STEPS = 20

"""The shortest certified part of a change that bisection finds."""
function _shortened(problem::UniversalProblem, delta::Vector{Float64})
    low, high = 0.0, 1.0
    for _ in 1:SHORTENING_STEPS
        middle = (low + high) / 2
        if check(problem, middle .* delta).certified
            high = middle
        else
            low = middle
        end
    end
    return high .* delta
end

"""
    solve_region(problem::UniversalProblem, patterns, near; optimizer)

The best change for which image ``i`` has the activation pattern `patterns[i]` and is
answered as the target that is nearest at the change `near`; `nothing` if there is none.
"""
function solve_region(
    problem::UniversalProblem,
    patterns::AbstractVector,
    near::AbstractVector;
    optimizer = HiGHS.Optimizer,
)
    rows = map(eachindex(patterns)) do i
        choice = problem.choices[i][nearest_choice(problem, i, near)]
        G, h = _region_rows(choice, patterns[i])
        return G, h + G * choice.image
    end
    # One image of zeros, which is changed by delta.
    one = first(first(problem.choices))
    origin = zeros(input_size(problem.network))
    carrier = PerturbationProblem(
        problem.network,
        origin,
        one.target,
        problem.norm,
        one.conditions,
        problem.box,
    )
    G, h = reduce(vcat, first.(rows)), reduce(vcat, last.(rows))
    delta = region_optimum(carrier, G, h, optimizer)
    delta === nothing && return nothing
    delta = clip(problem.box, delta)
    return check(problem, delta).certified ? delta : nothing
end

function _polished(problem::UniversalProblem, found, patterns, optimizer)
    check(problem, found).certified && return nothing
    return solve_region(problem, patterns, found; optimizer)
end
