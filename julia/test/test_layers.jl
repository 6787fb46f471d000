module TestLayers

using ReLUOpt
using Test

import JuMP
import Random

include("examples.jl")

"""Windows of any kind that fit their image, and a number generator."""
function random_windows(seed::Int; dilated = true)
    rng = Random.MersenneTwister(seed)
    for _ in 1:100
        kernel = rand(rng, 1:3, 2)
        padding = [rand(rng, 0:(k-1)) for k in [kernel; kernel]]
        dilation = dilated ? rand(rng, 1:2, 2) : [1, 1]
        try
            return Windows(
                [rand(rng, [1, 2, 4]); rand(rng, 3:6, 2)],
                kernel;
                stride = rand(rng, 1:3, 2),
                padding,
                dilation,
                ceil = rand(rng, Bool),
            ),
            rng
        catch err
            err isa ArgumentError || rethrow()
        end
    end
end

function random_convolution(seed::Int)
    windows, rng = random_windows(seed)
    channels = windows.input_shape[1]
    groups = rand(rng, filter(g -> channels % g == 0, [1, 2, 4]))
    weight = randn(rng, 2 * groups, channels ÷ groups, windows.kernel...)
    return Conv2d(weight, randn(rng, 2 * groups), windows; groups)
end

"""A pool, or `nothing` where a window would be all padding."""
function random_pool(seed::Int, make)
    windows, _ = random_windows(seed; dilated = false)
    try
        return make(windows)
    catch err
        err isa ArgumentError || rethrow()
        return nothing
    end
end

"""Random layers of every kind."""
function random_layers(seed::Int)
    rng = Random.MersenneTwister(seed)
    conv = random_convolution(seed)
    pools = [
        random_pool(seed, MaxPool2d),
        random_pool(seed, AveragePool2d),
        random_pool(seed, w -> AveragePool2d(w; counts_padding = true)),
    ]
    n = ReLUOpt.output_size(conv)
    chain = Chain(
        conv,
        Scale(randn(rng, n), randn(rng, n)),
        LeakyReLU(n, rand(rng)),
        Permute(Random.randperm(rng, n)),
        Dense(randn(rng, 3, n), randn(rng, 3)),
    )
    return [
        Dense(randn(rng, 3, 4), randn(rng, 3)),
        conv,
        filter(!isnothing, pools)...,
        chain.parts[2:4]...,
        chain,
        Chain(conv, LeakyReLU(n, 0.1), Scale(randn(rng, n), zeros(n))),
    ]
end

function run_lowered(layer, values)
    maps = ReLUOpt.lower(layer)
    return foldl((v, map) -> map(max.(v, 0.0)), maps[2:end]; init = maps[1](values))
end

function test_layers_are_what_they_lower_to()
    for seed in 1:60, layer in random_layers(seed)
        x = randn(Random.MersenneTwister(seed), ReLUOpt.input_size(layer), 3)
        expected = layer(x)
        @test size(expected) == (ReLUOpt.output_size(layer), 3)
        @test reduce(hcat, [run_lowered(layer, c) for c in eachcol(x)]) ≈ expected rtol =
            1e-12 atol = 1e-12
    end
    return
end

function test_lowered_maps_are_sparse()
    conv = Conv2d(ones(2, 1, 3, 3), zeros(2), Windows((1, 28, 28), 3; padding = 1))
    map = only(ReLUOpt.lower(conv))
    @test length(map.weight.nzval) <= 9 * ReLUOpt.output_size(conv)
    pool = MaxPool2d(Windows((2, 28, 28), 2; stride = 2))
    @test sum(m -> length(m.weight.nzval), ReLUOpt.lower(pool)) < 20 * 28 * 28
    return
end

function test_convolution_by_hand()
    weight = reshape(collect(1.0:8.0), 2, 2, 1, 2)  # out, in, rows, columns
    windows = Windows((2, 1, 3), (1, 2); padding = (0, 1, 0, 0))
    layer = Conv2d(weight, [10.0, 20.0], windows)
    # Two channels of one row: 1 2 3 and 4 5 6, a zero before each.
    x = [1.0, 2, 3, 4, 5, 6]
    at(o, c, w) = weight[o, c, 1, w]
    padded = [[0, 1, 2, 3], [0, 4, 5, 6]]
    sums(o, p) = sum(at(o, c, w) * padded[c][p+w-1] for c in 1:2, w in 1:2)
    expected = [10.0 * o + sums(o, p) for o in 1:2 for p in 1:3]
    @test layer(x) ≈ expected
    grouped = Conv2d(weight[:, 1:1, :, :], [0.0, 0.0], windows; groups = 2)
    second = [at(2, 1, 1) * padded[2][p] + at(2, 1, 2) * padded[2][p+1] for p in 1:3]
    @test grouped(x)[4:6] ≈ second
    return
end

function test_pools_by_hand()
    image = collect(1.0:9.0)
    at(padding, ceil) = Windows((1, 3, 3), 2; stride = 2, padding, ceil)
    @test MaxPool2d(at(0, false))(image) == [5]
    @test MaxPool2d(at(0, true))(image) == [5, 6, 8, 9]
    @test MaxPool2d(at(1, false))(image) == [1, 3, 7, 9]
    @test AveragePool2d(at(0, false))(image) == [3]
    @test AveragePool2d(at(1, false))(image) == [1, 2.5, 5.5, 7]
    counted = AveragePool2d(at(1, false); counts_padding = true)
    @test counted(image) == [0.25, 1.25, 2.75, 7]
    return
end

function test_elementwise_by_hand()
    @test Scale([2.0, -1.0], [1.0, 0.0])([3.0, 4.0]) == [7.0, -4.0]
    @test LeakyReLU(3, 0.5)([-2.0, 0.0, 2.0]) == [-1.0, 0.0, 2.0]
    @test Permute([3, 1, 2])([1.0, 2.0, 3.0]) == [3.0, 1.0, 2.0]
    return
end

"""A network of the given layers, each scaled so that its neurons are not all stable."""
function small_networks()
    rng = Random.MersenneTwister(7)
    conv = Conv2d(randn(rng, 2, 1, 3, 3), 0.1 * randn(rng, 2), Windows((1, 5, 5), 3; padding = 1))
    strided = Conv2d(
        randn(rng, 2, 1, 2, 2),
        0.1 * randn(rng, 2),
        Windows((2, 4, 4), 2; stride = 2, padding = (1, 0, 1, 0), dilation = (1, 2));
        groups = 2,
    )
    pool = MaxPool2d(Windows((2, 5, 5), 2; stride = 2, ceil = true))
    overlapping = MaxPool2d(Windows((2, 5, 5), 3; stride = 2, padding = 1))
    average = AveragePool2d(Windows((2, 5, 5), 2; stride = 1, padding = (0, 0, 1, 1)))
    dense(n, m) = Dense(randn(rng, m, n) / sqrt(n), 0.1 * randn(rng, m))
    scale = Scale(randn(rng, 50), 0.1 * randn(rng, 50))
    order = Permute(Random.randperm(rng, 50))
    return Dict(
        "conv" => ReLUNetwork([conv, dense(50, 3)]),
        "pool after ReLU" => ReLUNetwork([conv, Chain(pool, dense(18, 3))]),
        "pool after conv" => ReLUNetwork([Chain(conv, pool), dense(18, 3)]),
        "overlapping" => ReLUNetwork([Chain(conv, scale), Chain(overlapping, dense(18, 3))]),
        "pool of pixels" => ReLUNetwork([
            Chain(MaxPool2d(Windows((1, 4, 4), 2; stride = 2)), dense(4, 5)),
            dense(5, 3),
        ]),
        "pool last" => ReLUNetwork([conv, pool]),
        "average" => ReLUNetwork([Chain(conv, average), dense(50, 3)]),
        "leaky" => ReLUNetwork([Chain(conv, LeakyReLU(50, 0.2), order, dense(50, 3))]),
        "strided" => ReLUNetwork([dense(9, 32), strided, dense(6, 3)]),
        "all" => ReLUNetwork([
            Chain(conv, scale, LeakyReLU(50, 0.1)),
            Chain(order, pool, dense(18, 4), LeakyReLU(4, 0.3)),
            dense(4, 3),
        ]),
    )
end

"""Logits of the program for a fixed input, with tolerances that allow 1e-9."""
function program_logits(network, x, formulation, bounds)
    model = silent_model()
    JuMP.set_attribute(model, "primal_feasibility_tolerance", 1e-10)
    JuMP.set_attribute(model, "mip_feasibility_tolerance", 1e-10)
    JuMP.@variable(model, 0 <= input[1:length(x)] <= 1)
    net = add_network!(model, network, input; formulation, bounds)
    JuMP.fix.(input, x; force = true)
    JuMP.optimize!(model)
    return JuMP.value.(net.output), net
end

function test_program_equals_forward_pass()
    for (name, network) in small_networks()
        box = ReLUOpt.unit_box(ReLUOpt.input_size(network))
        methods = (nothing, pre_activation_bounds(LinearBounds(), network, box))
        for formulation in (BigM(), Indicator(), ThesisBigM(50)), bounds in methods
            for x in random_inputs(2, ReLUOpt.input_size(network), 2)
                logits, net = program_logits(network, x, formulation, bounds)
                @testset "$name, $formulation" begin
                    @test logits ≈ forward(network, x) atol = 1e-9
                    pattern = activation_pattern(network, x)
                    found = ReLUOpt.solved_pattern(net)
                    @test length.(found) == length.(pattern)
                end
            end
        end
    end
    return
end

function test_lowered_network_is_the_same_function()
    for (name, network) in small_networks()
        flat = ReLUOpt.lowered(network)
        @test ReLUOpt.lowered(flat) === flat
        @test ReLUOpt.layer_sizes(flat) == ReLUOpt.layer_sizes(network)
        for x in random_inputs(3, ReLUOpt.input_size(network), 3)
            @test forward(flat, x) ≈ forward(network, x) atol = 1e-9
            @test last(pre_activations(network, x)) ≈ forward(network, x) atol = 1e-9
            logits, _ = program_logits(flat, x, BigM(), nothing)
            @test logits ≈ forward(network, x) atol = 1e-9
        end
    end
    return
end

function test_start_values_are_feasible()
    for (name, network) in small_networks(), formulation in (BigM(), ThesisBigM(50), Triangle())
        n = ReLUOpt.input_size(network)
        model = silent_model()
        JuMP.@variable(model, 0 <= input[1:n] <= 1)
        net = add_network!(model, network, input; formulation)
        for x in random_inputs(4, n, 2)
            JuMP.set_start_value.(input, x)
            set_start_values!(net, x)
            point = Dict(
                v => JuMP.is_fixed(v) ? JuMP.fix_value(v) : JuMP.start_value(v) for
                v in JuMP.all_variables(model)
            )
            @test !any(isnothing, values(point))
            @test isempty(JuMP.primal_feasibility_report(model, point; atol = 1e-9))
        end
    end
    return
end

function test_bounds_hold_on_samples()
    for (name, network) in small_networks(), method in (IntervalBounds(), LinearBounds())
        n = ReLUOpt.input_size(network)
        bounds = pre_activation_bounds(method, network, ReLUOpt.unit_box(n))
        for x in random_inputs(5, n, 20)
            for (k, a) in enumerate(pre_activations(network, x))
                @test all(bounds.lower[k] .- 1e-9 .<= a .<= bounds.upper[k] .+ 1e-9)
            end
        end
    end
    return
end

function test_optimised_bounds_hold_on_samples()
    for name in ("pool after conv", "leaky")
        network = small_networks()[name]
        n = ReLUOpt.input_size(network)
        box = ReLUOpt.unit_box(n)
        linear, tight = [
            pre_activation_bounds(m, network, box) for
            m in (LinearBounds(), OptimizationBounds())
        ]
        @test sum(sum, tight.upper) < sum(sum, linear.upper)
        for x in random_inputs(8, n, 20), (k, a) in enumerate(pre_activations(network, x))
            @test all(tight.lower[k] .- 1e-6 .<= a .<= tight.upper[k] .+ 1e-6)
        end
    end
    return
end

function test_gradient_and_linear_regions()
    for (name, network) in small_networks()
        x = random_inputs(6, ReLUOpt.input_size(network), 1)[1]
        w, h = [1.0; -2.0; zeros(ReLUOpt.output_size(network) - 2)], 1e-7
        G, offset = last(ReLUOpt.region_map(network, activation_pattern(network, x)))
        @test G * x + offset ≈ forward(network, x) atol = 1e-9
        @test ReLUOpt.gradient(network, x, w) ≈ G' * w atol = 1e-9
    end
    return
end

function test_files_keep_every_layer()
    path = joinpath(mktempdir(), "net.safetensors")
    for (name, network) in small_networks()
        save_network(path, network)
        loaded = load_network(path)
        for (a, b) in zip(network.layers, loaded.layers)
            @test typeof(a) == typeof(b)
            @test ReLUOpt.settings(a) == ReLUOpt.settings(b)
            @test ReLUOpt.tensors(a) == ReLUOpt.tensors(b)
        end
    end
    # A lowered network has dense layers in files.
    save_network(path, ReLUOpt.lowered(small_networks()["leaky"]))
    @test all(layer -> layer isa Dense, load_network(path).layers)
    return
end

"""A layer of somebody else: the methods that `Layer` names, and no rows."""
struct Distance <: ReLUOpt.Layer
    from::Vector{Float64}
end

ReLUOpt.input_size(layer::Distance) = length(layer.from)
ReLUOpt.output_size(layer::Distance) = length(layer.from)
(layer::Distance)(x::AbstractVector{<:Real}) = abs.(x - layer.from)

function ReLUOpt.lower(layer::Distance)
    n = length(layer.from)
    eye = [Float64(i == j) for i in 1:n, j in 1:n]
    return [Dense([eye; -eye], [-layer.from; layer.from]), Dense([eye eye], zeros(n))]
end

ReLUOpt.kind(::Distance) = "distance"
ReLUOpt.tensors(layer::Distance) = ["from" => layer.from]
ReLUOpt.tensor_names(::Type{Distance}, ::AbstractDict) = ["from"]

function ReLUOpt.build(::Type{Distance}, ::AbstractDict, tensors::AbstractDict)
    return Distance(tensors["from"])
end

function test_a_layer_of_somebody_else()
    network = ReLUNetwork([Chain(Distance([0.25, 0.5]), Dense([1.0 -1.0], [0.0]))])
    for x in random_inputs(1, 2, 5)
        logits, net = program_logits(network, x, BigM(), nothing)
        @test logits ≈ forward(network, x) atol = 1e-9
        @test ReLUOpt.solved_pattern(net) == activation_pattern(network, x)
    end
    @test optimal_input(network, 0).objective ≈ 0.75 atol = 1e-6
    path = joinpath(mktempdir(), "net.safetensors")
    save_network(path, network)
    ReLUOpt.LAYERS["distance"] = Distance
    @test load_network(path)([0.0, 0.0]) == [-0.25]
    delete!(ReLUOpt.LAYERS, "distance")
    @test occursin("one of average-pool2d", refusal(() -> load_network(path)))
    return
end

function test_layers_that_do_not_fit_are_refused()
    windows = Windows((2, 3, 3), 2)
    @test_throws DimensionMismatch Conv2d(ones(1, 1, 2, 2), [0.0], windows)
    @test_throws DimensionMismatch Conv2d(ones(1, 2, 2, 2), [0.0, 1.0], windows)
    @test_throws ArgumentError Conv2d(ones(1, 2, 2, 2), [0.0], windows; groups = 3)
    @test_throws ArgumentError Conv2d(fill(NaN, 1, 2, 2, 2), [0.0], windows)
    @test_throws ArgumentError MaxPool2d(Windows((1, 2, 2), 1; padding = 1))
    @test_throws ArgumentError AveragePool2d(Windows((1, 2, 2), 1; padding = 1))
    @test_throws ArgumentError Windows((1, 2, 2), 0)
    @test_throws ArgumentError Windows((1, 2), 1)
    @test_throws ArgumentError Windows((64, 2^12, 2^12), 3)
    @test_throws DimensionMismatch Scale([1.0], [1.0, 2.0])
    @test_throws ArgumentError Scale(Float64[], Float64[])
    @test_throws ArgumentError LeakyReLU(0)
    @test_throws ArgumentError LeakyReLU(2, -0.1)
    @test_throws ArgumentError Permute([1, 1])
    @test_throws ArgumentError Chain()
    @test_throws DimensionMismatch Chain(LeakyReLU(2), LeakyReLU(3))
    return
end

end # module TestLayers

TestLayers
