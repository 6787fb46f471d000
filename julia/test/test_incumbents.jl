module TestIncumbents

using ReLUOpt
using Test

import ReLUOpt: PerturbationProblem, check, objective_of, solve_region

include("examples.jl")

function problems()
    return [
        PerturbationProblem(
            random_network(seed, 8, 10, 6, 4),
            random_inputs(seed + 50, 8, 1)[1],
            target;
            norm,
            margin = AbsoluteMargin(0.05),
        ) for seed in 1:4, target in (0, 2), norm in (1, 2, Inf)
    ]
end

function test_incumbents_pass_the_check()
    found = 0
    for problem in problems()
        x0 = find_incumbent(problem)
        x0 === nothing && continue
        found += 1
        @test check(problem, x0).certified
    end
    @test found >= 12
    return
end

function test_region_optimum_is_not_beaten_inside_the_region()
    for problem in problems()
        x0 = find_incumbent(problem; flips = 0)
        x0 === nothing && continue
        pattern = activation_pattern(problem.network, x0)
        best = solve_region(problem, pattern)
        best === nothing && continue
        # Steps from the optimum towards the image leave region or conditions.
        closer = best + 1e-3 .* (problem.image - best)
        same = activation_pattern(problem.network, closer) == pattern
        if same && check(problem, closer).certified
            @test objective_of(problem, closer) >= objective_of(problem, best) - 1e-9
        end
    end
    return
end

function test_nothing_without_a_feasible_image()
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], [0.0, -5.0])])
    problem = PerturbationProblem(network, [0.5, 0.5], 1)
    @test find_incumbent(problem) === nothing
    @test solve_region(problem, BitVector[]) === nothing
    return
end

function test_region_of_a_single_layer_by_hand()
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], zeros(2))])
    for (norm, objective) in ((1, 0.7), (2, 0.245), (Inf, 0.35))
        problem =
            PerturbationProblem(network, [0.8, 0.2], 1; norm, margin = AbsoluteMargin(0.1))
        x0 = solve_region(problem, BitVector[])
        @test objective_of(problem, x0) ≈ objective atol = 1e-6
    end
    return
end

end # module TestIncumbents

TestIncumbents
