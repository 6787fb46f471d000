module TestWorstCase

using ReLUOpt
using Test

include("examples.jl")

function test_misclassification_against_brute_force()
    for seed in 1:8, norm in (1, Inf), eps in (0.1, 0.5)
        network = random_network(seed, 3, 4, 3, 3)
        image = random_inputs(seed + 10, 3, 1)[1]
        label = predict(network, image)
        region = InputRegion(ReLUOpt.unit_box(3), convert(ReLUOpt.AbstractNorm, norm), image, eps)
        result = worst_case(network, image, label, eps; norm)
        expected = brute_force_slack(network, region, label)
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ expected atol = 1e-6
        @test result.bound >= result.objective
        @test ReLUOpt.violation(region, result.image) <= 0
        single = [
            worst_case(network, region, label; objective = t).objective for
            t in 0:2 if t != label
        ]
        @test maximum(single) ≈ result.objective atol = 1e-6
    end
    return
end

function test_the_largest_logit_is_that_of_the_box()
    for seed in 1:4, label in 0:2
        network = random_network(seed, 3, 5, 4, 3)
        form = 1.0 * (0:2 .== label)
        result = worst_case(network, ReLUOpt.unit_box(3), 0; objective = form)
        other = optimal_input(network, label)
        @test result.status == other.status == SolveStatus.OPTIMAL
        @test result.objective ≈ other.objective atol = 1e-6
    end
    return
end

# On a grid: no point that meets the condition is better, and the answer meets it.
function test_fooled_inputs()
    impossible = 0
    for seed in 1:12
        network = random_network(seed, 2, 5, 4, 3)
        image = random_inputs(seed + 10, 2, 1)[1]
        label, form = predict(network, image), [0.3, -1.0, 0.5]
        region = InputRegion(ReLUOpt.unit_box(2), ReLUOpt.L1(), image, 0.3)
        result = worst_case(network, region, label; objective = form, fooled = 0.95)
        grid = [image + 0.3 .* [a, b] for a in -1:0.05:1, b in -1:0.05:1 if abs(a) + abs(b) <= 1]
        values = map(filter(x -> ReLUOpt.violation(region, x) <= 0, grid)) do x
            logits = forward(network, x)
            return logits[label+1] <= maximum(0.95 .* logits) ? form' * logits : -Inf
        end
        if result.status == SolveStatus.INFEASIBLE
            impossible += 1
            @test maximum(values) == -Inf
            @test result.bound == -Inf && result.image === nothing
            continue
        end
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective >= maximum(values) - 1e-6
        logits = result.certificate.logits
        @test form' * logits ≈ result.objective
        @test logits[label+1] <= 0.95 * logits[result.target+1] + 1e-6 * max(1, maximum(abs, logits))
    end
    @test 0 < impossible < 12
    return
end

function test_several_rows_count_by_the_worst()
    network = random_network(5, 3, 5, 3)
    region = InputRegion(ReLUOpt.unit_box(3), ReLUOpt.LInf(), fill(0.5, 3), 0.4)
    wanted = ReLUOpt.conditions(AbsoluteMargin(0.1), 2, 3)
    problem = ReLUOpt.RegionProblem(network, region, [ReLUOpt.Alternative(2, wanted)])
    options = ReLUOpt.SearchOptions()
    settings = (; optimizer = HiGHS.Optimizer, formulation = BigM(), bounds = LinearBounds())
    result = worst_case(problem; options, settings...)
    @test result.status == SolveStatus.OPTIMAL
    @test result.objective ≈ minimum(ReLUOpt.slack(wanted, forward(network, result.image)))
    for x in random_inputs(6, 3, 500)
        inside = region.center + 0.8 .* (x .- 0.5)
        @test minimum(ReLUOpt.slack(wanted, forward(network, inside))) <= result.objective + 1e-7
    end
    return
end

function test_progress_is_reported_and_may_stop()
    network = random_network(7, 8, 16, 16, 4)
    seen = Tuple{Float64,Float64,Int}[]
    callback(objective, bound, nodes) = (push!(seen, (objective, bound, nodes)); true)
    result = worst_case(network, ReLUOpt.unit_box(8), 0; callback)
    if !isempty(seen)
        @test all(bound >= objective for (objective, bound, _) in seen)
        @test result.bound >= result.objective
    end
    return
end

# An optimizer that is wrong about a program is not believed.
function test_a_bound_below_a_checked_input_is_refused()
    network = random_network(3, 3, 5, 4, 3)
    region = InputRegion(ReLUOpt.unit_box(3))
    problem = ReLUOpt.RegionProblem(network, region, ReLUOpt.misclassifications(network, 0))
    settings = (; optimizer = HiGHS.Optimizer, formulation = BigM(), options = ReLUOpt.SearchOptions())
    search = ReLUOpt.RegionSearch(problem, false, settings)
    ReLUOpt.offer!(search, 1, region.center)
    known = pre_activation_bounds(LinearBounds(), network, region)
    false_bounds = PreActivationBounds(
        [known.lower[1:2]; [fill(-1e3, 3)]],
        [[fill(-1.0, 5)], [known.upper[2]], [fill(1e3, 3)]] |> x -> reduce(vcat, x),
    )
    ReLUOpt.solve_alternative!(search, 1, false_bounds, 10.0)
    @test search.contradicted
    @test search.bounds[1] == Inf
    @test occursin("below a checked input", search.message)
    return
end

function test_refusals()
    network, image = random_network(61, 2, 3, 2), [0.5, 0.5]
    said(; kwargs...) = refusal(() -> worst_case(network, image, 0, 0.1; kwargs...))
    @test occursin("other than 0", said(; objective = 0))
    @test occursin("label: expected", said(; objective = 5))
    @test occursin("expected with a vector", said(; fooled = 0.95))
    @test occursin("expected with a vector", said(; objective = 1, fooled = 0.95))
    @test occursin("a share >= 0", said(; objective = [1, 0], fooled = -1))
    @test occursin("columns", said(; objective = [1, 0, 0]))
    @test occursin("finite factors", said(; objective = [1, NaN]))
    return
end

end # module TestWorstCase

TestWorstCase
