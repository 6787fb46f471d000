module TestEntries

using ReLUOpt
using Test

import JSON3

include("examples.jl")

function test_files_of_other_layers_are_refused()
    folder = mktempdir()
    path = joinpath(folder, "net.safetensors")
    two = Dict("layers.0.scale" => ones(2), "layers.0.shift" => ones(2))
    function saved(entries, tensors = two)
        fields = (;
            schema_version = 1,
            activation = "relu",
            architecture = (; type = "layers", layers = entries),
        )
        ReLUOpt.write_tensors(path, tensors, Dict("reluopt" => JSON3.write(fields)))
        return refusal(() -> load_network(path))
    end
    @test saved([(; kind = "scale")]) == ""
    @test occursin("kind of each", saved([(; kind = "softmax")]))
    @test occursin("\"softmax\"", saved([(; kind = "softmax")]))
    @test occursin("kind of each", saved(["scale"]))
    @test occursin("list of 1 to", saved([]))
    @test occursin("found \"slope\"", saved([(; kind = "scale", slope = 1)]))
    @test occursin("layers.0.weight", saved([(; kind = "dense")]))
    orders = Dict("layers.0.order" => [0.0, 0.5])
    @test occursin("order", saved([(; kind = "permute")], orders))
    @test occursin("layers.0.shift", saved([(; kind = "leaky-relu", size = 2, slope = 0)]))
    @test occursin("size", saved([(; kind = "leaky-relu", size = true, slope = 0.1)]))
    @test occursin("slope", saved([(; kind = "leaky-relu", size = 2, slope = 2)]))
    windows = (;
        input_shape = [1, 2, 2],
        kernel = [3, 3],
        stride = [1, 1],
        padding = [0, 0, 0, 0],
        dilation = [1, 1],
        ceil = false,
    )
    @test occursin("fits", saved([(; kind = "max-pool2d", windows...)]))
    @test occursin("ceil", saved([(; kind = "max-pool2d", windows..., ceil = 1)]))
    @test occursin("kernel", saved([(; kind = "max-pool2d", windows..., kernel = 2)]))
    @test occursin("counts_padding", saved([(; kind = "average-pool2d", windows...)]))
    @test occursin("parts", saved([(; kind = "chain", parts = [])]))
    inner = (; kind = "chain", parts = [(; kind = "scale")])
    @test occursin("chain in a chain", saved([(; kind = "chain", parts = [inner])]))
    @test startswith(saved(["scale"]), path)
    return
end

end # module TestEntries

TestEntries
