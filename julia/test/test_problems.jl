module TestProblems

using ReLUOpt
using Test

import ReLUOpt: PerturbationProblem, check

include("examples.jl")

# Two inputs, logits equal to them.
identity_network() = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], zeros(2))])

function test_check_accepts_and_refuses()
    problem = PerturbationProblem(identity_network(), [0.8, 0.2], 1; margin = AbsoluteMargin(0.1))
    good = check(problem, [0.5, 0.6])
    @test good.certified
    @test good.predicted == 1
    @test good.objective ≈ 0.7
    @test good.margin ≈ 0.0 atol = 1e-12
    @test good.lead ≈ 0.1
    @test !check(problem, [0.5, 0.59]).certified
    @test occursin("answers 0", join(check(problem, [0.6, 0.5]).failures))
    @test occursin("leaves its box", join(check(problem, [0.5, 1.1]).failures))
    @test !check(problem, [NaN, 0.6]).certified
    return
end

function test_bare_margin_is_not_enough()
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], [-3.0, -3.0])])
    problem = PerturbationProblem(network, [0.9, 0.1], 1; margin = BareRelativeMargin(0.2))
    # Logits -2.1 and -2.5: -2.5 >= 1.2 * -2.1 holds, but the answer is 0.
    certificate = check(problem, [0.9, 0.5])
    @test certificate.margin >= 0
    @test !certificate.certified
    return
end

function test_objectives()
    for (norm, value) in ((1, 0.75), (2, 0.3125), (Inf, 0.5))
        problem = PerturbationProblem(identity_network(), [0.8, 0.2], 1; norm)
        @test ReLUOpt.objective_of(problem, [0.3, 0.45]) ≈ value
    end
    return
end

function test_errors()
    network = identity_network()
    @test_throws DimensionMismatch PerturbationProblem(network, [0.5], 1)
    @test_throws ArgumentError PerturbationProblem(network, [0.5, NaN], 1)
    @test_throws ArgumentError PerturbationProblem(network, [0.5, 1.5], 1)
    @test_throws ArgumentError PerturbationProblem(network, [0.5, 0.5], 2)
    @test_throws ArgumentError PerturbationProblem(network, [0.5, 0.5], 1; norm = 3)
    @test_throws DimensionMismatch PerturbationProblem(
        network,
        [0.5, 0.5],
        1;
        box = ReLUOpt.unit_box(3),
    )
    @test_throws DimensionMismatch PerturbationProblem(
        network,
        [0.5, 0.5],
        1;
        margin = LogitConditions(ones(1, 3), ones(1)),
    )
    return
end

end # module TestProblems

TestProblems
