module TestMinimalPerturbation

using ReLUOpt
using Test

import JSON3
import JuMP
import ReLUOpt: PerturbationProblem

include("examples.jl")

function test_brute_force()
    for seed in 1:6, norm in (1, 2, Inf)
        network = random_network(seed, 3, 4, 3, 3)
        image = random_inputs(seed + 10, 3, 1)[1]
        target = mod(predict(network, image) + 1, 3)
        margin = AbsoluteMargin(0.05)
        problem = PerturbationProblem(network, image, target; norm, margin)
        expected = brute_force(problem)
        result = minimal_perturbation(network, image, target; norm, margin)
        if isinf(expected)
            @test result.status == SolveStatus.INFEASIBLE
            continue
        end
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ expected rtol = 1e-5 atol = 1e-7
        @test result.termination_status == JuMP.MOI.OPTIMAL
        @test result.certificate.certified
        @test result.gap <= 1e-6
        @test predict(network, result.image) == target
    end
    return
end

function test_formulations_and_bounds_agree()
    network = random_network(11, 6, 8, 6, 4)
    image = random_inputs(12, 6, 1)[1]
    margin = AbsoluteMargin(0.05)
    target = reachable_target(network, image; margin)
    solve(; kwargs...) =
        minimal_perturbation(network, image, target; margin, kwargs...)
    reference = solve()
    @test reference.status == SolveStatus.OPTIMAL
    settings = (
        (; formulation = Indicator()),
        (; formulation = ThesisBigM(100)),
        (; bounds = IntervalBounds()),
        (; bounds = LinearBounds()),
        (; bounds = OptimizationBounds()),
        (; incumbent = nothing),
        (; incumbent = reference.image),
    )
    for setting in settings
        result = solve(; setting...)
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ reference.objective rtol = 1e-5
    end
    return
end

function test_cutoff()
    network = random_network(11, 6, 8, 6, 4)
    image = random_inputs(12, 6, 1)[1]
    target = reachable_target(network, image)
    for norm in (1, 2, Inf)
        best = minimal_perturbation(network, image, target; norm)
        @test best.status == SolveStatus.OPTIMAL
        above = 1.2 * best.objective
        loose = minimal_perturbation(network, image, target; norm, cutoff = above)
        @test loose.status == SolveStatus.OPTIMAL
        @test loose.objective ≈ best.objective rtol = 1e-6
        below = 0.8 * best.objective
        none = minimal_perturbation(network, image, target; norm, cutoff = below)
        @test none.status == SolveStatus.INFEASIBLE
    end
    return
end

"""Optima that the Python engines proved, see data/README.md."""
function test_stored_optima()
    folder = joinpath(@__DIR__, "data")
    network = load_network(joinpath(folder, "small.safetensors"))
    tensors, texts = ReLUOpt.read_tensors(joinpath(folder, "reference.safetensors"))
    cases = JSON3.read(texts["cases"])
    @test length(cases) >= 12
    norms = Dict("l1" => 1, "l2" => 2, "linf" => Inf)
    for case in cases
        result = minimal_perturbation(
            network,
            tensors["images"][case.image+1, :],
            case.target;
            norm = norms[case.norm],
            margin = ReLUOpt.parse_margin(case.margin),
        )
        if case.status == "INFEASIBLE"
            @test result.status == SolveStatus.INFEASIBLE
        else
            @test result.status == SolveStatus.OPTIMAL
            @test result.objective ≈ case.objective rtol = 1e-5
        end
    end
    return
end

function test_infeasible_is_proven()
    network = ReLUNetwork([
        Dense([1.0 0.0; 0.0 1.0], zeros(2)),
        Dense([1.0 0.0; 0.0 1.0], [0.0, -5.0]),
    ])
    for norm in (1, 2, Inf)
        result = minimal_perturbation(network, [0.5, 0.5], 1; norm)
        @test result.status == SolveStatus.INFEASIBLE
        @test result.image === nothing
        @test result.objective == Inf
    end
    return
end

function test_image_that_is_the_target_already()
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], zeros(2))])
    for norm in (1, 2, Inf)
        result = minimal_perturbation(network, [0.9, 0.1], 0; norm)
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ 0 atol = 1e-9
    end
    return
end

function test_results_are_shown_in_one_line_and_in_several()
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], zeros(2))])
    result = minimal_perturbation(network, [0.9, 0.1], 0)
    @test startswith(sprint(show, result), "PerturbationResult(OPTIMAL, objective = ")
    @test !occursin('\n', sprint(show, [result]))
    text = sprint(show, MIME("text/plain"), result)
    @test startswith(text, "PerturbationResult: OPTIMAL (OPTIMAL)\n")
    @test startswith(sprint(show, optimal_input(network, 0)), "LogitResult(OPTIMAL, ")
    return
end

function test_time_limit_keeps_a_valid_bound()
    network = random_network(21, 30, 20, 20, 10)
    image = random_inputs(22, 30, 1)[1]
    target = reachable_target(network, image)
    best = minimal_perturbation(network, image, target)
    for bounds in (IntervalBounds(), BallBounds())
        short = minimal_perturbation(network, image, target; bounds, time_limit = 0.05)
        @test short.bound <= best.objective * (1 + 1e-6)
        if short.image !== nothing
            @test short.certificate.certified
            @test short.objective >= best.objective * (1 - 1e-6)
        end
    end
    return
end

function test_size_and_errors()
    network = random_network(31, 4, 5, 4, 3)
    image = random_inputs(32, 4, 1)[1]
    target = mod(predict(network, image) + 1, 3)
    result = minimal_perturbation(
        network,
        image,
        target;
        formulation = ThesisBigM(50),
        margin = AbsoluteMargin(0.01),
    )
    @test result.variables == 2 * 4 + 3 * (5 + 4 + 3)
    @test result.binaries == 5 + 4 + 3
    @test_throws ArgumentError minimal_perturbation(network, image, target; norm = 3)
    @test_throws ArgumentError minimal_perturbation(network, image, target; gap = -1.0)
    @test_throws ArgumentError minimal_perturbation(network, image, target; incumbent = image)
    short = PreActivationBounds([[0.0]], [[1.0]])
    @test_throws DimensionMismatch minimal_perturbation(network, image, target; bounds = short)
    return
end

end # module TestMinimalPerturbation

TestMinimalPerturbation
