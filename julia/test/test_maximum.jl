module TestMaximum

using ReLUOpt
using Test

import JuMP

include("examples.jl")

"""A pool of four values in the given ranges, and its model."""
function pooled(lower, upper, formulation)
    model = silent_model()
    JuMP.@variable(model, lower[i] <= x[i in 1:4] <= upper[i])
    network = ReLUNetwork([MaxPool2d(Windows((1, 2, 2), 2))])
    net = add_network!(model, network, x; formulation)
    return model, x, net
end

binaries(model) = JuMP.num_constraints(model, JuMP.VariableRef, JuMP.MOI.ZeroOne)

function test_one_binary_for_each_candidate()
    model, x, net = pooled(zeros(4), ones(4), BigM())
    @test binaries(model) == 4
    @test JuMP.num_variables(model) == 4 + 1 + 4
    # y >= x and y <= x + U (1 - z), and one sum.
    @test length(net.constraints) == 4 + 4 + 1
    @test JuMP.name.(net.variables) ==
          ["relu_y[1,1]"; ["relu_z[1,1,$i]" for i in 1:4]]
    return
end

function test_excluded_candidates_get_none()
    # The second lies above the first and the fourth, but not above the third.
    model, x, net = pooled([0, 1, 0, -1], [1, 2, 3, 0.5], BigM())
    @test binaries(model) == 2
    @test only(net.pools).candidates == [[2, 3]]
    @test JuMP.lower_bound(net.variables[1]) == 1
    @test JuMP.upper_bound(net.variables[1]) == 3
    # Equal bounds exclude as well.
    @test ReLUOpt.surviving_candidates([0.0, 1.0], [1.0, 1.0]) == [2]
    @test ReLUOpt.surviving_candidates([0.0, 0.0], [0.0, 1.0]) == [2]
    return
end

function test_a_single_candidate_is_the_largest()
    model, x, net = pooled([0, 2, 0, -1], [1, 3, 2, 0.5], BigM())
    @test binaries(model) == 0
    @test isempty(net.constraints)
    @test net.output == [1.0 * x[2]]
    return
end

function test_gaps_are_those_of_the_others()
    model, x, net = pooled([0, 0, -3, -3], [1, 5, -3, -3], BigM())
    z = only(net.pools).z[1]
    # y <= x1 + (5 - 0) (1 - z1), y <= x2 + (1 - 0) (1 - z2).
    rows = net.constraints[4:5]
    @test [JuMP.normalized_coefficient(row, z[i]) for (i, row) in enumerate(rows)] == [5, 1]
    return
end

function test_both_ends_of_the_maximum_are_proven()
    lower, upper = [-1.0, -2.0, 0.0, -3.0], [0.5, 1.0, 0.25, 2.0]
    for formulation in (BigM(), Indicator(), ThesisBigM(7))
        model, x, net = pooled(lower, upper, formulation)
        JuMP.@constraint(model, sum(x) == -1.5)
        JuMP.@objective(model, Max, net.output[1])
        JuMP.optimize!(model)
        @test JuMP.objective_value(model) ≈ 1.5 atol = 1e-6
        JuMP.@objective(model, Min, net.output[1])
        JuMP.optimize!(model)
        @test JuMP.objective_value(model) ≈ 0 atol = 1e-6
    end
    return
end

function test_triangle_is_the_relaxation_of_bigm()
    values = map((BigM(), Triangle())) do formulation
        model, x, net = pooled([-1, -2, 0, -3], [0.5, 1, 0.25, 2], formulation)
        formulation isa BigM && JuMP.relax_integrality(model)
        JuMP.@objective(model, Max, net.output[1] - sum(x) / 3)
        JuMP.optimize!(model)
        return JuMP.objective_value(model)
    end
    @test values[1] ≈ values[2] atol = 1e-7
    return
end

function test_models_over_other_numbers()
    T = Rational{BigInt}
    for formulation in (BigM(), Triangle())
        model = JuMP.GenericModel{T}()
        JuMP.@variable(model, 0 <= x[1:4] <= 1)
        network = ReLUNetwork([Chain(MaxPool2d(Windows((1, 2, 2), 2)), LeakyReLU(1, 0.5))])
        net = add_network!(model, network, x; formulation)
        values = [1 // 3, 2 // 3, 1 // 7, 0 // 1]
        point = Dict{JuMP.GenericVariableRef{T},T}(zip(x, T.(values)))
        for variable in net.variables
            point[variable] = startswith(JuMP.name(variable), "relu_z") ? 0 : 2 // 3
        end
        formulation isa BigM && (point[only(net.pools).z[1][2]] = 1)
        @test isempty(JuMP.primal_feasibility_report(model, point; atol = zero(T)))
        @test JuMP.value(v -> point[v], only(net.output)) == 2 // 3
    end
    return
end

function test_bounds_come_from_the_tournament()
    # Directly behind an affine map, the values have bounds by those of the matches: both
    # values are the same, so that one of them is excluded however wide they are.
    twice = Dense([1.0 -1.0; 1.0 -1.0], [0.0, 1.0])
    pool = MaxPool2d(Windows((1, 1, 2), (1, 2)))
    network = ReLUNetwork([Dense([1.0 0.0; 0.0 1.0], zeros(2)), Chain(twice, pool)])
    bounds = pre_activation_bounds(LinearBounds(), network, ReLUOpt.unit_box(2))
    # The lead of the first over the second is -1.
    @test bounds.upper[2][1] ≈ -1
    model = silent_model()
    JuMP.@variable(model, 0 <= x[1:2] <= 1)
    net = add_network!(model, network, x; bounds)
    JuMP.@objective(model, Max, net.output[1])
    JuMP.optimize!(model)
    @test JuMP.objective_value(model) ≈ 2 atol = 1e-6
    return
end

function test_neurons_behind_a_pool_are_bounded_by_its_variables()
    # A tournament of four values from 0 to 1 adds up to more than 1 in intervals.
    pool = Chain(MaxPool2d(Windows((1, 2, 2), 2)), Dense([1.0; 1.0;;], [-1.0, -0.5]))
    network = ReLUNetwork([pool, Dense([1.0 1.0], [0.0])])
    bounds = pre_activation_bounds(IntervalBounds(), network, ReLUOpt.unit_box(4))
    @test bounds.upper[3] > [0.5, 0.5]
    model = silent_model()
    JuMP.@variable(model, 0 <= x[1:4] <= 1)
    net = add_network!(model, network, x; bounds)
    @test JuMP.value.(v -> 0.0, net.z[3][1]) == 0
    @test isempty(JuMP.linear_terms(net.x[3][1]))
    @test JuMP.upper_bound(last(only(JuMP.linear_terms(net.x[3][2])))) == 0.5
    return
end

function test_free_inputs_with_bounds()
    model = silent_model()
    JuMP.@variable(model, x[1:4])
    network = ReLUNetwork([MaxPool2d(Windows((1, 2, 2), 2))])
    bounds = pre_activation_bounds(IntervalBounds(), network, ReLUOpt.unit_box(4))
    net = add_network!(model, network, x; bounds)
    JuMP.fix.(x, [0.1, 0.4, 0.3, 0.2])
    JuMP.optimize!(model)
    @test JuMP.value(net.output[1]) ≈ 0.4 atol = 1e-8
    return
end

end # module TestMaximum

TestMaximum
