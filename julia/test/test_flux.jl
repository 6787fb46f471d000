module TestFlux

using ReLUOpt
using Test

include("examples.jl")

const HAS_FLUX = Base.find_package("Flux") !== nothing

if HAS_FLUX
    @eval import Flux
end

function test_export_and_back()
    if !HAS_FLUX
        @info "Flux is not installed: skipping its tests"
        return
    end
    chain = Flux.Chain(
        Flux.flatten,
        Flux.Dense(6 => 5, Flux.relu),
        Flux.Dense(5 => 4, Flux.relu),
        Flux.Dense(4 => 3; bias = false),
    )
    path = joinpath(mktempdir(), "net.safetensors")
    ReLUOpt.export_safetensors(path, chain; input_shape = (3, 2), test_accuracy = 0.5)
    network = load_network(path)
    @test network.metadata.input_shape == [2, 3]
    for x in random_inputs(1, 6, 5)
        expected = vec(chain(reshape(Float32.(x), 3, 2, 1)))
        @test forward(network, Float32.(x)) ≈ expected rtol = 1e-5
        @test ReLUOpt.flux_chain(network)(Float32.(x)) ≈ expected rtol = 1e-5
    end
    return
end

exported(chain; kwargs...) =
    ReLUOpt.export_safetensors(joinpath(mktempdir(), "net.safetensors"), chain; kwargs...)

"""A batch normalisation that has seen something."""
function trained_norm(n, activation = identity)
    norm = Flux.BatchNorm(n, activation)
    norm.μ .= 0.1f0 .* (1:n)
    norm.σ² .= 0.5f0 .+ 0.2f0 .* (1:n)
    norm.γ .= 1.5f0
    norm.β .= -0.3f0 .* (1:n)
    return norm
end

"""Chains with every layer that is known, and the size of their inputs."""
function known_chains()
    return (
        (
            Flux.Chain(
                Flux.Conv((3, 3), 1 => 2, Flux.relu; stride = 2, pad = 1),
                Flux.flatten,
                Flux.Dense(2 * 3 * 3 => 3),
            ),
            (5, 5, 1),
        ),
        (
            Flux.Chain(
                Flux.Conv((3, 2), 2 => 4; pad = (1, 0, 2, 1), dilation = (1, 2), groups = 2),
                trained_norm(4, Flux.relu),
                Flux.MaxPool((2, 2); pad = (0, 1, 1, 0)),
                Flux.Dropout(0.5),
                Flux.Conv((2, 2), 4 => 3, Flux.leakyrelu; bias = false),
                Flux.MeanPool((2, 1); pad = (1, 0, 0, 0), stride = 1),
                Flux.flatten,
                Flux.relu,
                Flux.Dense(18 => 4),
                trained_norm(4),
                Base.Fix2(Flux.leakyrelu, 0.2f0),
                Flux.Dense(4 => 3),
            ),
            (7, 6, 2),
        ),
        (
            Flux.Chain(
                Flux.Conv((3,), 2 => 3, Flux.relu; pad = 1),
                Flux.MaxPool((2,)),
                Flux.flatten,
                Flux.Dense(9 => 3),
            ),
            (6, 2),
        ),
        (
            Flux.Chain(
                Flux.Conv((2, 2), 1 => 4),
                Flux.GlobalMaxPool(),
                Flux.flatten,
                Flux.Dense(4 => 3, Flux.relu),
                Flux.Dense(3 => 2),
            ),
            (4, 5, 1),
        ),
        (
            Flux.Chain(Flux.Conv((2, 2), 1 => 4, Flux.relu), Flux.GlobalMeanPool(), Flux.flatten),
            (4, 5, 1),
        ),
    )
end

function test_layers_of_images()
    HAS_FLUX || return
    for (chain, shape) in known_chains()
        network = exported(chain; input_shape = shape)
        n = prod(shape)
        @test ReLUOpt.input_size(network) == n
        @test prod(network.metadata.input_shape) == n
        back = ReLUOpt.flux_chain(network)
        for x in random_inputs(2, n, 5)
            expected = vec(chain(reshape(Float32.(x), shape..., 1)))
            @test forward(network, x) ≈ expected rtol = 1e-4 atol = 1e-5
            @test vec(back(reshape(Float32.(x), :, 1))) ≈ expected rtol = 1e-4 atol = 1e-5
        end
    end
    return
end

"""Chains that keep a row of an image in their first index."""
function test_rows_first()
    HAS_FLUX || return
    chain = Flux.Chain(
        Flux.Conv((2, 3), 2 => 3, Flux.relu),
        Flux.flatten,
        Flux.Dense(3 * 3 * 3 => 2),
    )
    network = exported(chain; input_shape = (4, 5, 2), rows_first = true)
    @test network.metadata.input_shape == [2, 4, 5]
    x = reshape(random_inputs(2, 40, 1)[1], 4, 5, 2)  # row, column, channel
    ours = flat_image(permutedims(x, (3, 1, 2)))      # channel, row, column
    @test forward(network, ours) ≈ vec(chain(reshape(Float32.(x), 4, 5, 2, 1))) rtol = 1e-4
    @test_throws ArgumentError exported(chain; rows_first = true)
    return
end

function test_what_flux_answers_otherwise_is_refused()
    HAS_FLUX || return
    # A function that pretends to be a known layer: the logits tell.
    network = exported(Flux.Chain(Flux.Dense(2 => 2)))
    extension = Base.get_extension(ReLUOpt, :ReLUOptFluxExt)
    other = Flux.Chain(Flux.Dense(2 => 2))
    @test_throws ArgumentError extension.require_agreement(network, other, nothing, false)
    return
end

function test_layers_without_windows_in_flux()
    HAS_FLUX || return
    shape = (2, 3, 3)
    average = AveragePool2d(Windows(shape, 2; padding = 1))
    last = Dense(ones(2, ReLUOpt.output_size(average)), zeros(2))
    network = ReLUNetwork([
        Chain(Permute(reverse(1:18)), LeakyReLU(18, 0.2)),
        Chain(
            MaxPool2d(Windows(shape, 2; stride = 2, ceil = true)),
            Scale(fill(2.0, 8), ones(8)),
            Dense(ones(18, 8), zeros(18)),
        ),
        Chain(average, last),
    ])
    back = ReLUOpt.flux_chain(network)
    for x in random_inputs(3, 18, 3)
        x = x .- 0.5
        @test vec(back(reshape(Float32.(x), :, 1))) ≈ forward(network, x) rtol = 1e-4 atol = 1e-4
    end
    dilated = MaxPool2d(Windows(shape, 2; dilation = 2))
    @test_throws ArgumentError ReLUOpt.flux_chain(ReLUNetwork([dilated]))
    return
end

"""The chain that `scripts/train_mnist.jl` trained and exported: what Flux said of
three test images stands beside its weights, and Python reads the same files."""
function test_exported_file()
    folder = joinpath(@__DIR__, "data")
    network = load_network(joinpath(folder, "flux.safetensors"))
    @test network.metadata.recipe["tool"] == "Flux"
    tensors, _ = ReLUOpt.read_tensors(joinpath(folder, "flux-logits.safetensors"))
    for i in axes(tensors["images"], 1)
        image = tensors["images"][i, :, :] ./ 255
        logits = forward(network, flat_image(image))
        @test logits ≈ tensors["logits"][i, :] rtol = 1e-5
        @test argmax(logits) - 1 == tensors["labels"][i]
        if HAS_FLUX
            chain = ReLUOpt.flux_chain(network)
            @test chain(Float32.(flat_image(image))) ≈ tensors["logits"][i, :] rtol = 1e-5
        end
    end
    return
end

"""A chain of images with windows that are not square; see data/README.md."""
function test_exported_images()
    folder = joinpath(@__DIR__, "data")
    network = load_network(joinpath(folder, "flux-cnn.safetensors"))
    tensors, _ = ReLUOpt.read_tensors(joinpath(folder, "flux-cnn-logits.safetensors"))
    for i in axes(tensors["images"], 1)
        image = tensors["images"][i, :, :]
        @test size(image) == (7, 8)
        @test forward(network, flat_image(image)) ≈ tensors["logits"][i, :] rtol = 1e-4
    end
    return
end

function test_other_chains_are_refused()
    HAS_FLUX || return
    path = joinpath(mktempdir(), "net.safetensors")
    for chain in (
        Flux.Chain(Flux.Dense(2 => 2, tanh), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.Dense(2 => 2, Flux.relu)),
        Flux.Chain(Flux.Dense(2 => 2, Flux.relu), Flux.Dense(2 => 2), Flux.softmax),
        Flux.Chain(Flux.Conv((3, 3), 1 => 2, Flux.relu), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.MaxPool((2, 2)), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.relu, Flux.Dense(2 => 2)),
        Flux.Chain(Flux.leakyrelu, Flux.Dense(2 => 2)),
        Flux.Chain(Flux.BatchNorm(2; track_stats = false), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.GRU(2 => 2)),
        Flux.Chain(Flux.identity),
    )
        @test_throws ArgumentError ReLUOpt.export_safetensors(path, chain)
    end
    return
end

end # module TestFlux

TestFlux
