module TestLogits

using ReLUOpt
using Test

include("examples.jl")

function test_classify_equals_forward_pass()
    network = random_network(1, 9, 12, 8, 5)
    for x in random_inputs(2, 9, 10), formulation in (BigM(), ThesisBigM(1000))
        result = classify(network, x; formulation)
        @test result.status == SolveStatus.OPTIMAL
        @test result.label == predict(network, x)
        @test result.error <= 1e-6
        @test result.program_logits ≈ forward(network, x) atol = 1e-6
    end
    return
end

function test_optimal_input_of_the_lecture_example()
    result = optimal_input(lecture_network(), 0; box = LECTURE_BOX)
    @test result.status == SolveStatus.OPTIMAL
    @test result.objective ≈ 50 atol = 1e-6
    @test result.bound ≈ 50 atol = 1e-4
    return
end

function test_optimal_input_against_brute_force()
    network = random_network(3, 3, 5, 4, 3)
    grid = [[a, b, c] for a in 0:0.05:1, b in 0:0.05:1, c in 0:0.05:1]
    for label in 0:2
        result = optimal_input(network, label)
        @test result.status == SolveStatus.OPTIMAL
        best = maximum(forward(network, x)[label+1] for x in grid)
        @test result.objective >= best - 1e-7
        @test result.objective <= best + 0.2
        @test forward(network, result.input)[label+1] ≈ result.objective
    end
    return
end

function test_errors()
    network = random_network(4, 3, 4, 2)
    @test_throws ArgumentError optimal_input(network, 2)
    @test_throws DimensionMismatch classify(network, [0.1])
    return
end

end # module TestLogits

TestLogits
