module TestPhaseSearch

using ReLUOpt
using Test

import ReLUOpt: PerturbationProblem

include("examples.jl")

function test_random_networks_against_brute_force()
    solved = 0
    for seed in 1:10, depth in (1, 2)
        sizes = depth == 1 ? (4, 6, 3) : (4, 4, 3, 3)
        network = random_network(seed, sizes...)
        image = round.(random_inputs(seed + 20, 4, 1)[1]; digits = 1)
        target = mod(predict(network, image) + 1, 3)
        problem = PerturbationProblem(network, image, target; norm = 2)
        expected = brute_force(problem)
        for incumbent in (missing, nothing)
            result = minimal_perturbation(network, image, target; norm = 2, incumbent)
            if isinf(expected)
                @test result.status == SolveStatus.INFEASIBLE
            else
                solved += 1
                @test result.status == SolveStatus.OPTIMAL
                @test result.objective ≈ expected rtol = 1e-5 atol = 1e-8
                @test result.bound <= expected * (1 + 1e-9) + 1e-9
            end
        end
    end
    @test solved >= 20
    return
end

function test_callback_sees_progress_and_stops()
    network = random_network(3, 20, 16, 12, 10)
    image = random_inputs(4, 20, 1)[1]
    target = reachable_target(network, image)
    full = minimal_perturbation(network, image, target; norm = 2)
    seen = Tuple{Float64,Float64,Int}[]
    callback = (objective, bound, nodes) -> (push!(seen, (objective, bound, nodes)); false)
    again = minimal_perturbation(network, image, target; norm = 2, callback)
    @test again.objective ≈ full.objective rtol = 1e-6
    @test !isempty(seen)
    @test all(s -> s[2] <= full.objective * (1 + 1e-6), seen)
    stopped =
        minimal_perturbation(network, image, target; norm = 2, callback = (_...) -> true)
    @test stopped.status in (SolveStatus.FEASIBLE, SolveStatus.TIME_LIMIT)
    @test stopped.bound <= full.objective * (1 + 1e-6)
    return
end

end # module TestPhaseSearch

TestPhaseSearch
