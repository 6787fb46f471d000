module TestExamples

using Test

module Plan
include(joinpath(@__DIR__, "..", "examples", "production_plan.jl"))
end

module Surrogate
include(joinpath(@__DIR__, "..", "examples", "trusted_surrogate.jl"))
end

module Design
include(joinpath(@__DIR__, "..", "examples", "inverse_design.jl"))
end

# The numbers are those that `tests/docs/test_own_models.py` finds in Python, too.

function test_production_plan()
    plan = Plan.production_plan()
    @test plan.promised ≈ 74190 rtol = 1e-4
    @test plan.learned ≈ plan.promised rtol = 1e-6
    @test Plan.AREA' * plan.water <= Plan.WATER + 1e-3
    @test Plan.AREA' * plan.nitrogen <= Plan.NITROGEN + 1e-3
    @test count(>(1e-6), plan.water) <= 2
    return
end

function test_trusted_surrogate()
    found = Surrogate.trusted_surrogate()
    @test found.anywhere.promised ≈ 1.06471 atol = 1e-4
    @test found.near_a_run.promised ≈ 0.57136 atol = 1e-4
    for each in (found.anywhere, found.near_a_run)
        @test each.learned ≈ each.promised atol = 1e-5
    end
    error(each) = abs(each.simulated - each.promised)
    @test error(found.near_a_run) < 0.1 < error(found.anywhere)
    @test found.near_a_run.simulated > found.best_run
    return
end

function test_inverse_design()
    designs = Design.inverse_design(25:5:55)
    costs = [27.97, 30.69, 33.45, 37.11, 41.29, 45.48, 49.91]
    @test [each.cost for each in designs] ≈ costs rtol = 1e-3
    @test all(each -> abs(each.strength - each.target) <= Design.WITHIN + 1e-4, designs)
    @test all(each -> each.slump >= Design.SLUMP - 1e-4, designs)
    return
end

end # module TestExamples

TestExamples
