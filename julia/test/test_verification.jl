module TestVerification

using ReLUOpt
using Test

import ReLUOpt: Verdict

include("examples.jl")

"""``x_t - x_d`` of the best label ``t`` at the input."""
function lead(network, label, x)
    logits = forward(network, x)
    return maximum(deleteat!(copy(logits), label + 1)) - logits[label+1]
end

function test_verdicts_against_brute_force()
    decided = Set{Verdict.Code}()
    for seed in 1:12, norm in (1, Inf)
        network = random_network(seed, 3, 4, 3, 3)
        image = random_inputs(seed + 10, 3, 1)[1]
        label = predict(network, image)
        for eps in (0.02, 0.1, 0.4)
            region = InputRegion(ReLUOpt.unit_box(3), convert(ReLUOpt.AbstractNorm, norm), image, eps)
            expected = brute_force_slack(network, region, label)
            result = verify(network, image, label, eps; norm)
            wanted = expected >= 0 ? Verdict.NOT_ROBUST : Verdict.ROBUST
            @test result.status == wanted
            @test result.bound >= expected - 1e-6
            push!(decided, result.status)
            if result.status == Verdict.NOT_ROBUST
                @test lead(network, label, result.image) == result.objective >= 0
                @test ReLUOpt.violation(region, result.image) <= 0
                @test result.certificate.certified
            end
        end
    end
    @test length(decided) == 2
    return
end

# Where the ascent does not see it, the program finds the witness, or the proof.
function test_formulations_and_bounds_agree()
    network = random_network(21, 5, 8, 6, 3)
    image = random_inputs(22, 5, 1)[1]
    label = predict(network, image)
    for eps in (0.05, 0.15, 0.3)
        reference = verify(network, image, label, eps)
        @test reference.status != Verdict.UNDECIDED
        for setting in (
            (; formulation = Indicator()),
            (; formulation = ThesisBigM(100)),
            (; bounds = IntervalBounds()),
            (; bounds = OptimizationBounds()),
            (; bounds = BallBounds()),
        )
            @test verify(network, image, label, eps; setting...).status == reference.status
        end
    end
    return
end

function test_tie_counts_against_robustness()
    layer = Dense([1.0 0.0; 0.0 1.0], [0.0, 0.0])
    network = ReLUNetwork([layer, layer])
    result = verify(network, [0.5, 0.5], 0, 0.0)
    @test (result.status, result.objective) == (Verdict.NOT_ROBUST, 0.0)
    @test result.certificate.predicted == 0
    # Both logits are 0.75 in one corner of this ball, and only there.
    result = verify(network, [1.0, 0.5], 0, 0.25)
    @test result.status == Verdict.NOT_ROBUST
    @test verify(network, [1.0, 0.5], 0, 0.2499).status == Verdict.ROBUST
    return
end

# Two constant logits that differ by less than what solvers let through.
function test_a_sign_within_tolerances_stays_undecided()
    network = ReLUNetwork([Dense([1.0;;], [0.0]), Dense([1.0; 1.0;;], [1e-8, 0.0])])
    result = verify(network, [0.5], 0, 0.1)
    @test result.status == Verdict.UNDECIDED
    @test result.bound >= -1e-8
    return
end

function test_boxes_and_regions()
    network = random_network(31, 4, 6, 3)
    image = random_inputs(32, 4, 1)[1]
    label = predict(network, image)
    box = Box(max.(image .- 0.1, 0), min.(image .+ 0.1, 1))
    @test verify(network, box, label).status == verify(network, image, label, 0.1).status
    @test verify(network, ReLUOpt.unit_box(4), label).status == Verdict.NOT_ROBUST
    return
end

function test_limits_leave_a_bound()
    network = random_network(41, 6, 12, 12, 4)
    image = fill(0.5, 6)
    label = predict(network, image)
    result = verify(network, image, label, 0.02; time_limit = 1e-9)
    @test result.status in (Verdict.UNDECIDED, Verdict.ROBUST, Verdict.NOT_ROBUST)
    @test isfinite(result.bound)
    @test result.termination_status == JuMP.MOI.OPTIMIZE_NOT_CALLED
    return
end

# A ball in L2 is a quadratic row.
function test_l2_needs_quadratic_rows()
    network = random_network(51, 3, 4, 3)
    image = random_inputs(52, 3, 1)[1]
    label = predict(network, image)
    said = refusal(() -> verify(network, image, label, 0.1; norm = 2))
    @test occursin("it takes no quadratic constraint", said)
    Base.find_package("SCIP") === nothing && return
    @eval import SCIP
    for eps in (0.05, 0.2, 0.4)
        result = @eval verify($network, $image, $label, $eps; norm = 2, optimizer = SCIP.Optimizer)
        @test result.status != Verdict.UNDECIDED
        # The ball of the largest change holds it, that of the sum is within.
        outer = verify(network, image, label, eps; norm = Inf).status
        inner = verify(network, image, label, eps; norm = 1).status
        outer == Verdict.ROBUST && @test result.status == Verdict.ROBUST
        inner == Verdict.NOT_ROBUST && @test result.status == Verdict.NOT_ROBUST
    end
    return
end

function test_refusals()
    network = random_network(61, 2, 3, 2)
    image = [0.5, 0.5]
    @test occursin("label: expected", refusal(() -> verify(network, image, 2, 0.1)))
    @test occursin("eps: expected", refusal(() -> verify(network, image, 0, -0.1)))
    @test occursin("eps: expected", refusal(() -> verify(network, image, 0, Inf)))
    @test occursin("norm: expected", refusal(() -> verify(network, image, 0, 0.1; norm = 3)))
    @test occursin("inside the box", refusal(() -> verify(network, [2.0, 0.5], 0, 0.1)))
    @test occursin("expected 2 pixels", refusal(() -> verify(network, [0.5], 0, 0.1)))
    @test occursin("relaxation", refusal(() -> verify(network, image, 0, 0.1; formulation = Triangle())))
    one = ReLUNetwork([Dense([1.0 1.0], [0.0])])
    @test occursin("at least two classes", refusal(() -> verify(one, image, 0, 0.1)))
    return
end

function test_it_shows_what_it_is()
    network = random_network(61, 2, 3, 2)
    result = verify(network, [0.5, 0.5], 0, 0.0)
    @test startswith(sprint(show, result), "VerificationResult(")
    text = sprint(show, MIME("text/plain"), result)
    @test occursin("VerificationResult: ", text) && occursin("bound", text)
    return
end

end # module TestVerification

TestVerification
