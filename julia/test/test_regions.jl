module TestRegions

using ReLUOpt
using Test

import JuMP
import Random
import ReLUOpt: L1, L2, LInf, linear_maximum

include("examples.jl")

"""The maximum by an LP, with the ball written out."""
function lp_maximum(region, w)
    model = silent_model()
    n = length(w)
    JuMP.@variable(model, region.box.lower[i] <= x[i in 1:n] <= region.box.upper[i])
    JuMP.@variable(model, t[1:n] >= 0)
    JuMP.@constraint(model, t .>= x - region.center)
    JuMP.@constraint(model, t .>= region.center - x)
    if region.norm isa L1
        JuMP.@constraint(model, sum(t) <= region.radius)
    else
        JuMP.@constraint(model, t .<= region.radius)
    end
    JuMP.@objective(model, Max, w' * x)
    JuMP.optimize!(model)
    return JuMP.objective_value(model)
end

function test_linear_maximum_equals_lp()
    rng = Random.MersenneTwister(1)
    for norm in (L1(), LInf()), radius in (0.0, 0.05, 0.4, 2.0), _ in 1:3
        center = round.(rand(rng, 6); digits = 1)
        region = InputRegion(ReLUOpt.unit_box(6), norm, center, radius)
        w = randn(rng, 6)
        @test linear_maximum(region, w) ≈ lp_maximum(region, w) atol = 1e-7
    end
    return
end

function test_l2_maximum_is_tight_and_valid()
    rng = Random.MersenneTwister(2)
    for radius in (0.05, 0.3, 0.8, 5.0), _ in 1:3
        center, w = rand(rng, 5), randn(rng, 5)
        region = InputRegion(ReLUOpt.unit_box(5), L2(), center, radius)
        bound = linear_maximum(region, w)
        # The maximiser is clip(center + t w) with the largest t in the ball.
        path(t) = clamp.(center + t .* w, 0.0, 1.0)
        inside = [t for t in 0:1e-4:20 if sum(abs2, path(t) - center) <= radius^2]
        best = maximum(w' * path(t) for t in inside)
        @test best <= bound + 1e-12
        @test bound <= best + 1e-3
    end
    return
end

function test_unbounded_radius_is_the_box()
    region = InputRegion(Box([-1.0, 0.0], [2.0, 3.0]))
    @test linear_maximum(region, [1.0, -1.0]) == 2.0
    @test linear_maximum(region, [-1.0, 1.0]) == 4.0
    return
end

function test_norms()
    delta = [0.5, -0.25, 0.0]
    @test ReLUOpt.change_objective(L1(), delta) == 0.75
    @test ReLUOpt.change_objective(L2(), delta) == 0.3125
    @test ReLUOpt.change_objective(LInf(), delta) == 0.5
    @test convert(ReLUOpt.AbstractNorm, 2) == L2()
    @test_throws ArgumentError convert(ReLUOpt.AbstractNorm, 3)
    return
end

function test_box()
    box = Box([0.0, 0.0], [1.0, 2.0])
    @test ReLUOpt.violation(box, [0.5, 2.5]) == 0.5
    @test ReLUOpt.clip(box, [-1.0, 2.5]) == [0.0, 2.0]
    @test_throws DimensionMismatch Box([0.0], [1.0, 2.0])
    @test_throws ArgumentError Box([1.0], [0.0])
    @test_throws ArgumentError Box([-Inf], [0.0])
    return
end

end # module TestRegions

TestRegions
