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

function test_convolution_is_exact()
    HAS_FLUX || return
    chain = Flux.Chain(
        Flux.Conv((3, 3), 1 => 2, Flux.relu; stride = 2, pad = 1),
        Flux.flatten,
        Flux.Dense(2 * 3 * 3 => 3),
    )
    path = joinpath(mktempdir(), "net.safetensors")
    network = ReLUOpt.export_safetensors(path, chain; input_shape = (5, 5, 1))
    for x in random_inputs(2, 25, 5)
        expected = vec(chain(reshape(Float32.(x), 5, 5, 1, 1)))
        @test forward(network, x) ≈ expected rtol = 1e-4
    end
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

function test_other_chains_are_refused()
    HAS_FLUX || return
    path = joinpath(mktempdir(), "net.safetensors")
    for chain in (
        Flux.Chain(Flux.Dense(2 => 2, tanh), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.Dense(2 => 2, Flux.relu)),
        Flux.Chain(Flux.Dense(2 => 2, Flux.relu), Flux.Dense(2 => 2), Flux.softmax),
        Flux.Chain(Flux.Conv((3, 3), 1 => 2, Flux.relu), Flux.Dense(2 => 2)),
        Flux.Chain(Flux.MaxPool((2, 2)), Flux.Dense(2 => 2)),
    )
        @test_throws ArgumentError ReLUOpt.export_safetensors(path, chain)
    end
    return
end

end # module TestFlux

TestFlux
