module TestMathOptAI

using ReLUOpt
using Test

import JuMP

include("examples.jl")

const HAS_MATHOPTAI = Base.find_package("MathOptAI") !== nothing

if HAS_MATHOPTAI
    @eval import MathOptAI
end

function test_add_predictor()
    if !HAS_MATHOPTAI
        @info "MathOptAI is not installed: skipping its tests"
        return
    end
    network = random_network(1, 6, 8, 5, 3)
    pixels = reshape(random_inputs(2, 6, 1)[1], 2, 3)
    for reduced_space in (false, true), formulation in (BigM(), Indicator())
        model = silent_model()
        JuMP.@variable(model, 0 <= x[1:2, 1:3] <= 1)
        y, added = MathOptAI.add_predictor(model, network, x; reduced_space, formulation)
        @test added isa MathOptAI.AbstractFormulation
        @test length(added.variables) == JuMP.num_variables(model) - 6
        @test occursin("6-8-5-3", sprint(show, added))
        JuMP.fix.(x, pixels; force = true)
        JuMP.optimize!(model)
        @test JuMP.value.(y) ≈ forward(network, flat_image(pixels)) atol = 1e-5
    end
    return
end

function test_predictors_compose()
    HAS_MATHOPTAI || return
    network = random_network(1, 3, 5, 2)
    predictor = MathOptAI.build_predictor(network)
    @test MathOptAI.output_size(predictor, (3,)) == (2,)
    # A sum of the logits behind the network, in one pipeline.
    pipeline = MathOptAI.Pipeline(predictor, MathOptAI.Affine([1.0, 1.0]))
    model = silent_model()
    JuMP.@variable(model, 0 <= x[1:3] <= 1)
    y, _ = MathOptAI.add_predictor(model, pipeline, x)
    JuMP.@objective(model, Max, only(y))
    JuMP.optimize!(model)
    found = JuMP.value.(x)
    @test JuMP.objective_value(model) ≈ sum(forward(network, found)) atol = 1e-5
    return
end

end # module TestMathOptAI

TestMathOptAI
