module TestObbt

using ReLUOpt
using Test

include("examples.jl")

function test_integral_bounds_are_exact()
    # One input: the range of every pre-activation can be sampled densely.
    network = random_network(5, 1, 5, 4, 3)
    method = OptimizationBounds(; integral = true)
    bounds = pre_activation_bounds(method, network, ReLUOpt.unit_box(1))
    activations = [pre_activations(network, [t]) for t in 0:1e-4:1]
    for k in 1:3
        values = reduce(hcat, [a[k] for a in activations])
        @test vec(minimum(values; dims = 2)) ≈ bounds.lower[k] atol = 1e-3
        @test vec(maximum(values; dims = 2)) ≈ bounds.upper[k] atol = 1e-3
    end
    return
end

function test_time_limit_gives_dual_bounds()
    network = random_network(6, 12, 24, 24, 3)
    box = ReLUOpt.unit_box(12)
    method = OptimizationBounds(; integral = true, time_limit = 0.01)
    bounds = pre_activation_bounds(method, network, box)
    for x in random_inputs(7, 12, 200)
        for (k, a) in enumerate(pre_activations(network, round.(x)))
            @test all(bounds.lower[k] .- 1e-7 .<= a .<= bounds.upper[k] .+ 1e-7)
        end
    end
    return
end

function test_tasks_agree_with_one_thread()
    network = random_network(8, 5, 7, 6, 4)
    box = ReLUOpt.unit_box(5)
    one = pre_activation_bounds(OptimizationBounds(), network, box)
    three = pre_activation_bounds(OptimizationBounds(; threads = 3), network, box)
    @test all(one.lower .≈ three.lower)
    @test all(one.upper .≈ three.upper)
    return
end

end # module TestObbt

TestObbt
