module TestUniversalPerturbation

using ReLUOpt
using Test

include("examples.jl")

"""The least objective over all pairs of linear regions and choices of targets."""
function brute_force_universal(problem)
    best = Inf
    patterns = all_patterns(problem.network)
    zero_change = zeros(ReLUOpt.input_size(problem.network))
    for first_choice in problem.choices[1], second_choice in problem.choices[2]
        single = ReLUOpt.UniversalProblem(
            problem.network,
            problem.norm,
            [[first_choice], [second_choice]],
            problem.box,
        )
        for a in patterns, b in patterns
            delta = ReLUOpt.solve_region(single, [a, b], zero_change)
            delta === nothing && continue
            best = min(best, ReLUOpt.objective_of(single, delta))
        end
    end
    return best
end

function test_brute_force()
    found = 0
    for seed in 1:6, norm in (1, Inf), any_other in (false, true)
        network = random_network(seed, 3, 4, 3)
        images = random_inputs(seed + 10, 3, 2)
        labels = predict.(Ref(network), images)
        targets = any_other ? [setdiff(0:2, d) for d in labels] : mod.(labels .+ 1, 3)
        margin = AbsoluteMargin(0.05)
        problem = ReLUOpt.UniversalProblem(network, images, targets; norm, margin)
        expected = brute_force_universal(problem)
        result = universal_perturbation(network, images, targets; norm, margin)
        if isinf(expected)
            @test result.status == SolveStatus.INFEASIBLE
            @test result.change === nothing && isempty(result.images)
            continue
        end
        found += 1
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ expected rtol = 1e-5 atol = 1e-7
        @test all(c -> c.certified, result.certificates)
        for (image, changed, wanted) in zip(images, result.images, targets)
            @test changed ≈ image + result.change atol = 1e-12
            @test predict(network, changed) in wanted
            @test ReLUOpt.violation(ReLUOpt.unit_box(3), changed) <= 0
        end
        without = universal_perturbation(network, images, targets; norm, margin, incumbent = nothing)
        @test without.objective ≈ expected rtol = 1e-5 atol = 1e-7
        again = universal_perturbation(network, images, targets; norm, margin, incumbent = result.change)
        @test again.objective ≈ expected rtol = 1e-5 atol = 1e-7
    end
    @test found >= 8
    return
end

function test_one_image_is_the_smallest_change()
    for seed in 1:4, norm in (1, Inf)
        network = random_network(seed, 4, 6, 5, 3)
        image = random_inputs(seed + 30, 4, 1)[1]
        target, margin = mod(predict(network, image) + 1, 3), AbsoluteMargin(0.05)
        one = universal_perturbation(network, [image], [target]; norm, margin)
        other = minimal_perturbation(network, image, target; norm, margin)
        @test one.status == other.status
        if other.status == SolveStatus.OPTIMAL
            @test one.objective ≈ other.objective rtol = 1e-5
        end
    end
    return
end

function test_formulations_and_bounds_agree()
    network = random_network(12, 6, 8, 6, 3)
    images = [0.5 .+ 0.2 .* (x .- 0.5) for x in random_inputs(12, 6, 3)]
    labels = predict.(Ref(network), images)
    targets = [setdiff(0:2, d) for d in labels]
    margin = AbsoluteMargin(0.05)
    solve(; kwargs...) = universal_perturbation(network, images, targets; margin, kwargs...)
    reference = solve()
    @test reference.status == SolveStatus.OPTIMAL
    for setting in (
        (; formulation = Indicator()),
        (; formulation = ThesisBigM(100)),
        (; bounds = IntervalBounds()),
    )
        result = solve(; setting...)
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ reference.objective rtol = 1e-5
    end
    # A change of all images is one of each of them.
    for (image, wanted) in zip(images, targets)
        least = minimum(
            minimal_perturbation(network, image, t; margin).objective for t in wanted
        )
        @test reference.objective >= least - 1e-6
    end
    return
end

function test_l2_needs_an_integer_quadratic_optimizer()
    network = random_network(1, 3, 4, 3)
    images, margin = random_inputs(11, 3, 2), AbsoluteMargin(0.02)
    targets = [setdiff(0:2, predict(network, x)) for x in images]
    said = refusal(() -> universal_perturbation(network, images, targets; norm = 2))
    @test occursin("norm = 2 use SCIP or Gurobi", said)
    Base.find_package("SCIP") === nothing && return
    @eval import SCIP
    result = @eval universal_perturbation(
        $network,
        $images,
        $targets;
        norm = 2,
        margin = $margin,
        optimizer = SCIP.Optimizer,
    )
    @test result.status == SolveStatus.OPTIMAL
    problem = ReLUOpt.UniversalProblem(network, images, targets; norm = 2, margin)
    @test result.objective ≈ brute_force_universal(problem) rtol = 1e-4
    return
end

function test_refusals()
    network, image = random_network(61, 2, 3, 2), [0.5, 0.5]
    said(images, targets; kwargs...) =
        refusal(() -> universal_perturbation(network, images, targets; kwargs...))
    @test occursin("as many as images", said([image], [0, 1]))
    @test occursin("at least one", said([], []))
    @test occursin("found none", said([image], [Int[]]))
    @test occursin("label: expected", said([image], [2]))
    @test occursin("inside the box", said([[2.0, 0.5]], [0]))
    @test occursin("all images meet", said([image], [[0]]; incumbent = [0.0, 0.0], margin = AbsoluteMargin(1e6)))
    return
end

function test_it_shows_what_it_is()
    network = random_network(61, 2, 3, 2)
    result = universal_perturbation(network, [[0.5, 0.5]], [[0, 1]]; margin = AbsoluteMargin(1e-4))
    @test startswith(sprint(show, result), "UniversalResult(")
    @test :status in propertynames(result)
    return
end

end # module TestUniversalPerturbation

TestUniversalPerturbation
