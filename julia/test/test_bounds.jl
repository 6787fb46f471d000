module TestBounds

using ReLUOpt
using Test

import ReLUOpt: L1, L2, LInf

include("examples.jl")

const METHODS = (
    IntervalBounds(),
    LinearBounds(),
    BallBounds(IntervalBounds()),
    OptimizationBounds(),
    OptimizationBounds(; integral = true),
)

function test_lecture_example()
    bounds = pre_activation_bounds(IntervalBounds(), lecture_network(), LECTURE_BOX)
    @test bounds.lower[1:2] == [[-67.0], [-96.0]]
    @test bounds.upper[1:2] == [[73.0], [50.0]]
    @test unstable_count(bounds) == 2
    return
end

"""Points of a region: steps towards random corners, cut back into the ball."""
function sample(region, seed, count)
    return map(random_inputs(seed, length(region.center), count)) do r
        corner = ifelse.(r .> 0.5, region.box.upper, region.box.lower)
        target = r[1] > 0.3 ? corner : region.box.lower + r .* (region.box.upper - region.box.lower)
        delta = target - region.center
        size = ReLUOpt.change_length(
            region.norm,
            ReLUOpt.change_objective(region.norm, delta),
        )
        return region.center + min(1.0, region.radius / max(size, 1e-12)) .* delta
    end
end

function test_bounds_hold_on_samples()
    network = random_network(1, 6, 8, 7, 5, 3)
    center = random_inputs(2, 6, 1)[1]
    box = ReLUOpt.unit_box(6)
    for norm in (L1(), L2(), LInf()), radius in (0.2, Inf), method in METHODS
        region = InputRegion(box, norm, center, radius)
        bounds = pre_activation_bounds(method, network, region)
        for x in sample(region, 3, 60)
            for (k, a) in enumerate(pre_activations(network, x))
                @test all(bounds.lower[k] .- 1e-7 .<= a .<= bounds.upper[k] .+ 1e-7)
            end
        end
    end
    return
end

width(bounds) = sum(sum, bounds.upper) - sum(sum, bounds.lower)

function test_order_of_tightness()
    network = random_network(4, 6, 10, 8, 4)
    box = ReLUOpt.unit_box(6)
    interval, linear, _, lp, milp = [pre_activation_bounds(m, network, box) for m in METHODS]
    @test width(milp) < width(lp) < width(linear) < width(interval)
    return
end

function test_intersect_and_isempty()
    a = PreActivationBounds([[-1.0, 0.0]], [[1.0, 2.0]])
    b = PreActivationBounds([[-2.0, 1.0]], [[0.5, 3.0]])
    both = intersect(a, b)
    @test both.lower == [[-1.0, 1.0]]
    @test both.upper == [[0.5, 2.0]]
    @test !isempty(both)
    @test isempty(intersect(a, PreActivationBounds([[3.0, 0.0]], [[4.0, 2.0]])))
    @test_throws DimensionMismatch PreActivationBounds([[0.0]], [[1.0, 2.0]])
    return
end

end # module TestBounds

TestBounds
