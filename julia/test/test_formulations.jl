module TestFormulations

using ReLUOpt
using Test

import JuMP

include("examples.jl")

const FORMULATIONS = (
    BigM(),
    Indicator(),
    ThesisBigM(1000),
    Partition(2),
    Partition(3; strategy = equal_range),
    Partition(nothing; tightened = true),
)

"""Logits of the program for a fixed input."""
function program_logits(network, x, formulation; bounds = nothing)
    model = silent_model()
    JuMP.set_attribute(model, "mip_feasibility_tolerance", 1e-9)
    JuMP.set_attribute(model, "primal_feasibility_tolerance", 1e-9)
    JuMP.@variable(model, 0 <= input[1:length(x)] <= 1)
    net = add_network!(model, network, input; formulation, bounds)
    JuMP.fix.(input, x; force = true)
    JuMP.optimize!(model)
    return JuMP.value.(net.output), net
end

function test_program_equals_forward_pass()
    network = random_network(1, 5, 8, 6, 3)
    for formulation in FORMULATIONS, x in random_inputs(2, 5, 5)
        logits, net = program_logits(network, x, formulation)
        @test logits ≈ forward(network, x) atol = 1e-5
        for (k, a) in enumerate(pre_activations(network, x)[1:end-1])
            @test JuMP.value.(net.x[k]) ≈ max.(a, 0) atol = 1e-5
            @test JuMP.value.(net.s[k]) ≈ max.(-a, 0) atol = 1e-5
            @test (JuMP.value.(net.z[k]) .> 0.5) == (a .> 0)
        end
    end
    return
end

function test_lecture_maximum_is_50()
    model = silent_model()
    JuMP.@variable(model, LECTURE_BOX.lower[i] <= x[i in 1:2] <= LECTURE_BOX.upper[i])
    net = add_network!(model, lecture_network(), x)
    JuMP.@objective(model, Max, net.output[1])
    JuMP.optimize!(model)
    @test JuMP.objective_value(model) ≈ 50 atol = 1e-6
    return
end

function test_stable_neurons_get_no_binary()
    # a1 in [1, 2] is active, a2 in [-2, -1] inactive, a3 in [-0.5, 0.5] open.
    network = ReLUNetwork([
        Dense([1.0; -1.0; 1.0;;], [1.0, -1.0, -0.5]),
        Dense([1.0 10.0 1.0], [0.0]),
    ])
    model = silent_model()
    JuMP.@variable(model, 0 <= x[1:1] <= 1)
    net = add_network!(model, network, x)
    @test JuMP.num_constraints(model, JuMP.VariableRef, JuMP.MOI.ZeroOne) == 1
    @test JuMP.num_variables(model) == 1 + 1 + 3
    @test length(net.variables) == 4
    @test JuMP.constant(net.z[1][1]) == 1
    @test JuMP.constant(net.z[1][2]) == 0
    @test isempty(JuMP.linear_terms(net.x[1][2]))
    JuMP.@objective(model, Max, net.output[1])
    JuMP.optimize!(model)
    @test JuMP.objective_value(model) ≈ 2.5 atol = 1e-6
    @test JuMP.value.(net.s[1]) ≈ [0.0, 2.0, 0.0] atol = 1e-6
    return
end

function test_thesis_variable_counts()
    network = random_network(3, 784, 32, 16, 10)
    model = JuMP.Model()
    JuMP.@variable(model, 0 <= x[1:784] <= 1)
    add_network!(model, network, x; formulation = ThesisBigM())
    @test JuMP.num_variables(model) == 958
    @test JuMP.num_constraints(model, JuMP.VariableRef, JuMP.MOI.ZeroOne) == 58
    model = JuMP.Model()
    change = ReLUOpt.add_change!(
        model,
        ReLUOpt.L1(),
        fill(0.5, 784),
        ReLUOpt.unit_box(784),
        ThesisBigM(),
    )
    add_network!(model, network, change.input; formulation = ThesisBigM())
    @test JuMP.num_variables(model) == 1742
    return
end

function test_triangle_is_the_relaxation_of_bigm()
    network = random_network(4, 4, 6, 5, 2)
    values = map((BigM(), Triangle())) do formulation
        model = silent_model()
        JuMP.@variable(model, 0 <= x[1:4] <= 1)
        net = add_network!(model, network, x; formulation)
        JuMP.@objective(model, Max, net.output[1])
        formulation isa BigM && JuMP.relax_integrality(model)
        JuMP.optimize!(model)
        return JuMP.objective_value(model)
    end
    @test values[1] ≈ values[2] atol = 1e-6
    return
end

function test_parts_lead_from_bigm_to_the_hull_of_a_neuron()
    # Two neurons that are always active tell where the input is.
    weight, bias = [5.0, -4.0, 2.0], -1.0
    first = Dense([weight'; [1.0 0 0; 0 1 0; 0 0 1]], [bias, 0.0, 0.0, 0.0])
    cost = [-3.0, 1.0, 0.5]
    network = ReLUNetwork([first, Dense([1.0 cost...], [0.0])])
    function relaxed_maximum(formulation)
        model = silent_model()
        JuMP.@variable(model, 0 <= x[1:3] <= 1)
        net = add_network!(model, network, x; formulation)
        JuMP.@objective(model, Max, net.output[1])
        JuMP.relax_integrality(model)
        JuMP.optimize!(model)
        return JuMP.objective_value(model)
    end
    values = map(n -> relaxed_maximum(Partition(n)), (1, 2, nothing))
    @test relaxed_maximum(BigM()) ≈ values[1] atol = 1e-6
    # The hull's maximum is at a corner of the box, or where the neuron is zero on an edge.
    corners = [[i, j, k] for i in 0.0:1 for j in 0.0:1 for k in 0.0:1]
    edges = [
        [c + t * (e .== 1:3) for t in (-(weight' * c + bias) / weight[e],)] for
        c in corners for e in 1:3
    ]
    points = [corners; filter(x -> all(0 .<= x .<= 1), reduce(vcat, edges))]
    hull = maximum(x -> max(weight' * x + bias, 0.0) + cost' * x, points)
    @test values[3] ≈ hull atol = 1e-6
    @test values[1] + 1e-6 >= values[2] >= values[3] - 1e-6
    @test values[1] > values[3] + 1e-3
    @test hull - 1e-6 <= relaxed_maximum(Partition(2; tightened = true)) <= values[2] + 1e-6
    return
end

function test_strategies_take_every_weight_once()
    weights = [3.0, -1.0, 0.5, -4.0, 2.0, -0.1, 10.0]
    for strategy in (equal_size, equal_range), parts in 2:5
        groups = strategy(weights, parts)
        @test length(groups) == parts
        @test sort(reduce(vcat, groups)) == 1:7
    end
    three = [weights[group] for group in equal_size(weights, 3)]
    @test three == [[-4.0, -1.0, -0.1], [0.5, 2.0], [3.0, 10.0]]
    @test length.(equal_range(collect(0.0:999.0), 4)) == [50, 450, 450, 50]
    return
end

function test_inputs_may_be_expressions_and_numbers()
    network = random_network(5, 3, 5, 2)
    model = silent_model()
    JuMP.@variable(model, 0 <= t <= 1)
    net = add_network!(model, network, [t, 0.25, 1 - 2t])
    JuMP.fix(t, 0.75; force = true)
    JuMP.optimize!(model)
    @test JuMP.value.(net.output) ≈ forward(network, [0.75, 0.25, -0.5]) atol = 1e-6
    return
end

function test_two_networks_have_names_of_their_own()
    network = random_network(5, 3, 5, 2)
    model = JuMP.Model()
    JuMP.@variable(model, 0 <= x[1:3, 1:1] <= 1)
    nets = [add_network!(model, network, x) for _ in 1:2]
    other = add_network!(model, network, x; prefix = "other_")
    names = JuMP.name.(JuMP.all_variables(model))
    @test allunique(names)
    @test JuMP.variable_by_name(model, "x[1,1]") == x[1, 1]
    @test [net.prefix for net in nets] == ["relu_", "relu2_"]
    @test all(v -> startswith(JuMP.name(v), "other_"), other.variables)
    # A copy goes on counting.
    copied, _ = JuMP.copy_model(model)
    third = add_network!(copied, network, fill(0.5, 3))
    @test third.prefix == "relu3_"
    return
end

function test_bounds_are_computed_by_any_method()
    network = random_network(5, 3, 6, 5, 2)
    box = ReLUOpt.unit_box(3)
    for method in (IntervalBounds(), LinearBounds(), OptimizationBounds())
        model = silent_model()
        JuMP.@variable(model, 0 <= x[1:3] <= 1)
        net = add_network!(model, network, x; bounds = method)
        expected = pre_activation_bounds(method, network, box)
        @test net.bounds.lower == expected.lower
        @test net.bounds.upper == expected.upper
        @test length(filter(JuMP.is_binary, net.variables)) == unstable_count(expected)
        thesis = add_network!(model, network, x; bounds = method, formulation = ThesisBigM(9))
        @test all(all(u .== 9) for u in thesis.bounds.upper)
    end
    model = JuMP.Model()
    JuMP.@variable(model, 0 <= x[1:3] <= 1)
    linear = pre_activation_bounds(LinearBounds(), network, box)
    @test add_network!(model, network, x).bounds.lower == linear.lower
    return
end

function test_a_network_can_be_deleted_again()
    network = random_network(5, 3, 6, 5, 2)
    for formulation in FORMULATIONS
        model = silent_model()
        JuMP.@variable(model, 0 <= x[1:3] <= 1)
        JuMP.@constraint(model, sum(x) <= 2)
        net = add_network!(model, network, x; formulation)
        other = add_network!(model, network, x; formulation)
        @test JuMP.num_variables(model) > 3
        JuMP.delete(model, net)
        JuMP.@objective(model, Max, other.output[1])
        JuMP.optimize!(model)
        best = forward(network, JuMP.value.(x))[1]
        @test JuMP.objective_value(model) ≈ best atol = 1e-5
        JuMP.@objective(model, Max, sum(x))
        JuMP.delete(model, other)
        @test JuMP.num_variables(model) == 3
        counted = JuMP.num_constraints(model; count_variable_in_set_constraints = true)
        @test counted == 1 + 2 * 3
        @test_throws Exception JuMP.delete(model, net)
    end
    return
end

function test_matrices_are_read_row_by_row()
    network = random_network(8, 6, 5, 2)
    pixels = reshape(random_inputs(9, 6, 1)[1], 2, 3)
    model = silent_model()
    JuMP.@variable(model, 0 <= x[1:2, 1:3] <= 1)
    net = add_network!(model, network, x)
    JuMP.fix.(x, pixels; force = true)
    JuMP.optimize!(model)
    @test JuMP.value.(net.output) ≈ forward(network, flat_image(pixels)) atol = 1e-6
    # Constants and expressions in any mixture, without any variable of their own.
    mixed = Any[x[1, 1] 0.25 2x[1, 2]-0.5; 1 x[2, 1]+x[2, 2] JuMP.AffExpr(0.5)]
    other = add_network!(model, network, mixed)
    JuMP.optimize!(model)
    expected = forward(network, flat_image(JuMP.value.(mixed)))
    @test JuMP.value.(other.output) ≈ expected atol = 1e-6
    return
end

function test_inputs_that_are_not_affine()
    network = random_network(5, 2, 5, 2)
    model = JuMP.Model()
    JuMP.@variable(model, 0 <= x[1:2] <= 1)
    @test_throws ArgumentError add_network!(model, network, [x[1]^2, x[2]])
    @test_throws ArgumentError add_network!(model, network, [sin(x[1]), x[2]])
    @test_throws ArgumentError add_network!(model, network, [NaN, x[2]])
    @test_throws ArgumentError add_network!(model, network, ["a", x[2]])
    return
end

function test_models_over_other_numbers()
    network = random_network(6, 3, 5, 4, 2)
    x0 = [1 // 4, 3 // 4, 1 // 2]
    for T in (BigFloat, Rational{BigInt}),
        formulation in (BigM(), ThesisBigM(), Triangle(), Partition(2))

        model = JuMP.GenericModel{T}()
        JuMP.@variable(model, 0 <= x[1:3] <= 1)
        net = add_network!(model, network, x; formulation)
        @test eltype(net.variables) == JuMP.GenericVariableRef{T}
        @test eltype(net.output) == JuMP.GenericAffExpr{T,JuMP.GenericVariableRef{T}}
        # In exact arithmetic, the rows hold at the forward pass without tolerance.
        values = T.(x0)
        point = Dict(zip(x, values))
        for k in 1:2
            layer = network.layers[k]
            a = T.(layer.weight) * values + T.(layer.bias)
            values = max.(a, 0)
            for i in eachindex(a), (part, value) in
                ((net.x, max(a[i], 0)), (net.s, max(-a[i], 0)), (net.z, T(a[i] > 0)))
                terms = JuMP.linear_terms(part[k][i])
                # The triangle's phase is a share of x.
                if length(terms) == 1 && isone(first(only(terms)))
                    point[last(only(terms))] = value
                end
            end
        end
        last_layer = network.layers[3]
        logits = T.(last_layer.weight) * values + T.(last_layer.bias)
        if formulation isa ThesisBigM
            for (i, expression) in enumerate(net.output)
                point[last(only(JuMP.linear_terms(expression)))] = logits[i]
            end
            for variable in filter(JuMP.is_fixed, JuMP.all_variables(model))
                point[variable] = JuMP.fix_value(variable)
            end
        end
        for entry in net.copies
            active = JuMP.value(v -> point[v], entry.z) == 1
            part = JuMP.value(v -> point[v], entry.part)
            point[entry.copy] = active ? part : zero(T)
        end
        @test JuMP.value.(v -> point[v], net.output) ≈ logits rtol = 1e-12
        atol = T <: Rational ? zero(T) : T(1e-60)
        @test isempty(JuMP.primal_feasibility_report(model, point; atol))
    end
    return
end

function test_start_values_are_complete()
    network = random_network(6, 4, 6, 5, 3)
    x = random_inputs(7, 4, 1)[1]
    for formulation in FORMULATIONS
        model = silent_model()
        JuMP.@variable(model, 0 <= input[1:4] <= 1)
        net = add_network!(model, network, input; formulation)
        JuMP.set_start_value.(input, x)
        set_start_values!(net, x)
        # Fixed variables keep their value without one.
        open = filter(!JuMP.is_fixed, JuMP.all_variables(model))
        @test all(v -> JuMP.start_value(v) !== nothing, open)
        point = Dict(
            v => JuMP.is_fixed(v) ? JuMP.fix_value(v) : JuMP.start_value(v) for
            v in JuMP.all_variables(model)
        )
        if !(formulation isa Indicator)  # JuMP's report knows no indicators
            @test isempty(JuMP.primal_feasibility_report(model, point; atol = 1e-9))
        end
    end
    return
end

function test_errors()
    network = lecture_network()
    model = JuMP.Model()
    JuMP.@variable(model, free[1:2])
    @test_throws ArgumentError add_network!(model, network, free)
    @test_throws DimensionMismatch add_network!(model, network, free[1:1])
    short = PreActivationBounds([[0.0]], [[1.0]])
    @test_throws DimensionMismatch add_network!(model, network, free; bounds = short)
    @test_throws ArgumentError ThesisBigM(0)
    @test_throws ArgumentError Partition(0)
    exact = JuMP.GenericModel{Rational{BigInt}}()
    JuMP.@variable(exact, 0 <= inside[1:2] <= 1)
    @test_throws ArgumentError add_network!(
        exact,
        network,
        inside;
        formulation = Partition(2; tightened = true),
    )
    @test ReLUOpt.parse_formulation("partition-4").parts == 4
    @test_throws ArgumentError ReLUOpt.parse_formulation("other")
    @test ReLUOpt.parse_formulation("thesis") == ThesisBigM(1000)
    return
end

end # module TestFormulations

TestFormulations
