module TestNetwork

using ReLUOpt
using Test

include("examples.jl")

function test_forward_by_hand()
    network = ReLUNetwork([
        Dense([1.0 -1.0; 2.0 0.0], [0.0, -1.0]),
        Dense([1.0 -3.0], [0.5]),
    ])
    a = pre_activations(network, [3.0, 1.0])
    @test a[1] == [2.0, 5.0]
    @test a[2] == [2.0 - 15.0 + 0.5]
    @test forward(network, [0.0, 1.0]) == [0.5]
    @test network([0.0, 1.0]) == [0.5]
    return
end

function test_batch_equals_single_inputs()
    network = random_network(1, 5, 7, 4, 3)
    inputs = random_inputs(2, 5, 6)
    batch = forward(network, reduce(hcat, inputs))
    for (i, x) in enumerate(inputs)
        @test batch[:, i] ≈ forward(network, x)
        @test predict(network, x) == argmax(batch[:, i]) - 1
    end
    return
end

function test_gradient_equals_difference_quotient()
    network = random_network(3, 4, 8, 5, 3)
    x, w, h = random_inputs(4, 4, 1)[1], [1.0, -2.0, 0.5], 1e-6
    g = ReLUOpt.gradient(network, x, w)
    for i in 1:4
        step = [j == i ? h : 0.0 for j in 1:4]
        slope = w' * (forward(network, x + step) - forward(network, x - step)) / 2h
        @test g[i] ≈ slope atol = 1e-6
    end
    return
end

function test_region_map_equals_pre_activations()
    network = random_network(5, 4, 6, 5, 3)
    for x in random_inputs(6, 4, 5)
        maps = ReLUOpt.region_map(network, activation_pattern(network, x))
        for ((G, h), a) in zip(maps, pre_activations(network, x))
            @test G * x + h ≈ a
        end
    end
    return
end

function test_flat_image_reads_rows()
    @test flat_image([1.0 2.0 3.0; 4.0 5.0 6.0]) == 1:6
    @test flat_image([3, 1, 2]) == [3.0, 1.0, 2.0]
    return
end

function test_errors_say_what_was_expected()
    @test_throws ArgumentError Dense(zeros(0, 2), zeros(0))
    @test_throws DimensionMismatch Dense(ones(2, 2), ones(3))
    @test_throws ArgumentError Dense([1.0 NaN], [0.0])
    @test_throws ArgumentError ReLUNetwork(Dense[])
    wrong = [Dense(ones(2, 3), ones(2)), Dense(ones(1, 3), ones(1))]
    message = try
        ReLUNetwork(wrong)
        ""
    catch err
        sprint(showerror, err)
    end
    @test occursin("layer 1: expected 2 inputs", message)
    @test_throws DimensionMismatch forward(lecture_network(), [1.0])
    @test_throws DimensionMismatch ReLUNetwork(
        [Dense(ones(2, 3), ones(2))],
        NetworkMetadata(; input_shape = [2, 2]),
    )
    @test_throws DimensionMismatch ReLUNetwork(
        [Dense(ones(2, 3), ones(2))],
        NetworkMetadata(; class_names = ["a"]),
    )
    return
end

end # module TestNetwork

TestNetwork
