module TestRegionProblems

using ReLUOpt
using Test

import LinearAlgebra
import ReLUOpt: L1, L2, LInf, RegionProblem, misclassifications

include("examples.jl")

function random_regions(seed::Int, n::Int)
    center, other = random_inputs(seed, n, 2)
    return [
        InputRegion(ReLUOpt.unit_box(n), norm, center, radius) for
        norm in (L1(), L2(), LInf()) for radius in (0.0, 1e-9, 0.3, 1.5, 50.0, Inf)
    ]
end

function test_linear_maximiser_attains_the_maximum()
    for seed in 1:20, region in random_regions(seed, 5)
        w = random_inputs(seed + 50, 5, 1)[1] .- 0.5
        seed == 1 && (w[1:3] .= 0.0)
        x = ReLUOpt.linear_maximiser(region, w)
        @test ReLUOpt.violation(region, x) <= 0
        @test w' * x ≈ ReLUOpt.linear_maximum(region, w) atol = 1e-8
    end
    return
end

function test_clipped_points_lie_inside()
    for seed in 1:20, region in random_regions(seed, 5), scale in (1e-12, 0.1, 1, 30)
        x = ReLUOpt.clip(region, region.center + scale * (random_inputs(seed, 5, 3)[3] .- 0.5))
        @test ReLUOpt.violation(region, x) <= 0
    end
    region = InputRegion(Box([0.0, 0.0], [1.0, 1.0]), L2(), [0.5, 0.5], 0.25)
    @test ReLUOpt.clip(region, [0.5, 0.6]) == [0.5, 0.6]
    @test ReLUOpt.clip(region, [0.5, 0.9]) ≈ [0.5, 0.75]
    return
end

function test_region_rows_hold_the_ball()
    for region in random_regions(3, 4), formulation in (BigM(), ThesisBigM())
        region.norm isa L2 && continue
        w = [0.5, -1.0, 2.0, 0.1]
        model = silent_model()
        change = ReLUOpt.add_region!(model, region, formulation)
        JuMP.@objective(model, Max, w' * change.input)
        JuMP.optimize!(model)
        @test JuMP.objective_value(model) ≈ ReLUOpt.linear_maximum(region, w) atol = 1e-6
        x0 = ReLUOpt.linear_maximiser(region, w)
        start = Dict(zip(change.variables, change.starts(x0)))
        @test isempty(JuMP.primal_feasibility_report(model, start; atol = 1e-9))
    end
    return
end

function test_bounds_lie_above_what_ascent_finds()
    for seed in 1:10
        network = random_network(seed, 4, 6, 5, 3)
        for region in random_regions(seed, 4)
            problem = RegionProblem(network, region, misclassifications(network, 0))
            bounds = pre_activation_bounds(LinearBounds(), network, region)
            for alternative in problem.alternatives
                x0 = ReLUOpt.ascend(problem, alternative)
                certificate = ReLUOpt.check(problem, alternative, x0)
                @test certificate.certified
                logits = forward(network, region.center)
                @test certificate.objective >= ReLUOpt.value_of(alternative, logits)
                bound = ReLUOpt.linear_bound(problem, alternative, bounds)
                @test bound >= certificate.objective - 1e-9
            end
        end
    end
    return
end

function test_check_names_what_is_wrong()
    network = random_network(1, 2, 3, 2)
    region = InputRegion(ReLUOpt.unit_box(2), L1(), [0.5, 0.5], 0.25)
    problem = RegionProblem(network, region, misclassifications(network, 0))
    alternative = only(problem.alternatives)
    failure(x) = first(ReLUOpt.check(problem, alternative, x).failures)
    @test occursin("leaves its region by 0.25", failure([1.0, 0.5]))
    @test occursin("NaN", failure([NaN, 0.5]))
    return
end

end # module TestRegionProblems

TestRegionProblems
