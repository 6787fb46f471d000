module TestChange

using ReLUOpt
using Test

import JuMP
import ReLUOpt: L1, L2, LInf

include("examples.jl")

function test_objective_and_starts()
    image, x0 = [0.0, 0.5, 1.0], [0.25, 0.25, 1.0]
    box = ReLUOpt.unit_box(3)
    for norm in (L1(), LInf(), L2()), formulation in (BigM(), ThesisBigM())
        model = JuMP.Model()
        change = ReLUOpt.add_change!(model, norm, image, box, formulation)
        start = Dict(zip(change.variables, change.starts(x0)))
        value(e) = JuMP.value(v -> start[v], e)
        @test value.(change.input) ≈ x0
        @test value(change.objective) ≈ ReLUOpt.change_objective(norm, x0 - image)
        @test JuMP.num_variables(model) == length(change.variables)
        @test isempty(JuMP.primal_feasibility_report(model, start; atol = 1e-9))
    end
    return
end

function test_pixels_at_the_box_need_one_variable()
    model = JuMP.Model()
    change =
        ReLUOpt.add_change!(model, L1(), [0.0, 0.5, 1.0], ReLUOpt.unit_box(3), BigM())
    @test length(change.variables) == 4
    return
end

function test_conditions()
    model = silent_model()
    JuMP.@variable(model, y[1:2] <= 1)
    ReLUOpt.add_conditions!(model, LogitConditions([1.0 -2.0], [0.5]), 1.0 .* y)
    JuMP.@objective(model, Max, y[2])
    JuMP.optimize!(model)
    @test JuMP.value(y[2]) ≈ 0.25
    return
end

end # module TestChange

TestChange
