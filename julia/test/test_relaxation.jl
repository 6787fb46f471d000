module TestRelaxation

using ReLUOpt
using Test

import JuMP
import ReLUOpt: L2, PerturbationProblem
import ReLUOpt.QuadraticSearch: QuadraticRelaxation, solve_pixel_program

include("examples.jl")

function example(seed)
    network = random_network(seed, 12, 8, 6, 4)
    image = round.(random_inputs(seed + 70, 12, 1)[1]; digits = 1)
    target = mod(predict(network, image) + 1, 4)
    problem =
        PerturbationProblem(network, image, target; norm = 2, margin = AbsoluteMargin(0.05))
    bounds = pre_activation_bounds(LinearBounds(), network, problem.box)
    return problem, bounds
end

"""The same relaxation, built and solved by JuMP and HiGHS."""
function reference(problem, bounds)
    model = silent_model()
    change = ReLUOpt.add_change!(model, L2(), problem.image, problem.box, Triangle())
    net = add_network!(
        model,
        problem.network,
        change.input;
        bounds,
        formulation = Triangle(),
    )
    ReLUOpt.add_conditions!(model, problem.conditions, net.output)
    JuMP.@objective(model, Min, change.objective)
    # HiGHS's active-set method may cycle on such programs.
    JuMP.set_time_limit_sec(model, 5.0)
    JuMP.optimize!(model)
    return JuMP.termination_status(model), JuMP.has_values(model) ? JuMP.objective_value(model) : Inf
end

function test_interior_point_equals_highs()
    compared = 0
    for seed in 1:12
        problem, bounds = example(seed)
        relaxation = QuadraticRelaxation(problem, bounds)
        bound, v, _ = solve_pixel_program(relaxation.program; cutoff = 1e6)
        status, expected = reference(problem, bounds)
        if status == JuMP.MOI.OPTIMAL
            compared += 1
            @test bound ≈ expected rtol = 1e-5 atol = 1e-6
            x0 = v[1:12]
            @test ReLUOpt.objective_of(problem, x0) ≈ expected rtol = 1e-4 atol = 1e-5
        elseif status == JuMP.MOI.INFEASIBLE
            @test bound > 1e6
        end
    end
    @test compared >= 6
    return
end

function test_columns_belong_to_their_neurons()
    problem, bounds = example(2)
    relaxation = QuadraticRelaxation(problem, bounds)
    v = solve_pixel_program(relaxation.program).point
    values = v[1:12]
    for (k, layer) in enumerate(problem.network.layers[1:end-1])
        a = layer(values)
        values = map(eachindex(a)) do i
            columns = relaxation.neuron[k][i]
            if columns === nothing
                @test bounds.lower[k][i] >= 0 || bounds.upper[k][i] <= 0
                return max(a[i], 0.0)
            end
            @test v[columns.x] - v[columns.s] ≈ a[i] atol = 1e-5
            return v[columns.x]
        end
    end
    return
end

end # module TestRelaxation

TestRelaxation
