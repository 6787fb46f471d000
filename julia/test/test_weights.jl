module TestWeights

using ReLUOpt
using Test

import SafeTensors

include("examples.jl")

function message_of(f)
    try
        f()
    catch err
        err isa InputError || rethrow()
        return err.message
    end
    return ""
end

function test_round_trip()
    original = random_network(1, 6, 4, 3)
    network = ReLUNetwork(
        original.layers,
        NetworkMetadata(;
            name = "tiny",
            input_shape = [2, 3],
            class_names = ["a", "b", "c"],
            recipe = Dict{String,Any}("steps" => 50),
            test_accuracy = 0.75,
        ),
    )
    path = joinpath(mktempdir(), "net.safetensors")
    save_network(path, network)
    loaded = load_network(path)
    for (a, b) in zip(network.layers, loaded.layers)
        @test a.weight == b.weight
        @test a.bias == b.bias
    end
    @test loaded.metadata.name == "tiny"
    @test loaded.metadata.input_shape == [2, 3]
    @test loaded.metadata.class_names == ["a", "b", "c"]
    @test loaded.metadata.recipe["steps"] == 50
    @test loaded.metadata.test_accuracy == 0.75
    return
end

function test_bytes_are_row_major()
    # The format is 8 bytes of header length, a JSON header, and rows first.
    network = ReLUNetwork([Dense([1.0 2.0 3.0; 4.0 5.0 6.0], [7.0, 8.0])])
    path = joinpath(mktempdir(), "net.safetensors")
    save_network(path, network)
    bytes = read(path)
    header = Int(only(reinterpret(UInt64, bytes[1:8])))
    numbers = reinterpret(Float32, bytes[(9+header):end])
    # Tensors are sorted by name: the bias comes first.
    @test numbers == Float32[7, 8, 1, 2, 3, 4, 5, 6]
    return
end

function test_float64_weights_survive()
    network = ReLUNetwork([Dense([1/3 0.1], [1e-12])])
    path = joinpath(mktempdir(), "net.safetensors")
    save_network(path, network)
    @test load_network(path).layers[1].weight == [1/3 0.1]
    return
end

function test_stored_network()
    network = load_network(joinpath(@__DIR__, "data", "small.safetensors"))
    @test ReLUOpt.layer_sizes(network) == [16, 8, 6, 4]
    tensors, _ = ReLUOpt.read_tensors(joinpath(@__DIR__, "data", "reference.safetensors"))
    for i in axes(tensors["images"], 1)
        logits = forward(network, tensors["images"][i, :])
        @test logits ≈ tensors["logits"][i, :] rtol = 1e-12
    end
    return
end

function test_errors_name_file_and_tensor()
    folder = mktempdir()
    path(name) = joinpath(folder, name)
    @test occursin("no such file", message_of(() -> load_network(path("none"))))
    @test occursin("directory", message_of(() -> load_network(folder)))
    write(path("text"), "not a safetensors file at all")
    @test occursin("text: expected a safetensors", message_of(() -> load_network(path("text"))))
    write(path("short"), "abc")
    @test occursin("short", message_of(() -> load_network(path("short"))))

    function saved(name, tensors, metadata = Dict{String,String}())
        ReLUOpt.write_tensors(path(name), tensors, metadata)
        return message_of(() -> load_network(path(name)))
    end
    good = Dict(
        "layers.0.weight" => ones(2, 3),
        "layers.0.bias" => ones(2),
        "layers.1.weight" => ones(1, 2),
        "layers.1.bias" => ones(1),
    )
    @test saved("good", good) == ""
    @test_logs (:warn, r"assumed: ReLU") load_network(path("good"))
    @test saved("stated", good, Dict("activation" => "ReLU")) == ""
    @test_logs load_network(path("stated"))
    @test occursin("activation", saved("leaky", good, Dict("activation" => "leaky_relu")))
    without = filter(p -> first(p) != "layers.1.bias", good)
    @test occursin("layers.1.bias", saved("nobias", without))
    @test occursin("layers.0.weight", saved("other", Dict("fc.weight" => ones(2, 2))))
    chain = merge(good, Dict("layers.1.weight" => ones(1, 3)))
    @test occursin("layer 1: expected 2 inputs", saved("chain", chain))
    nan = merge(good, Dict("layers.1.bias" => [NaN]))
    @test occursin("layers.1.bias", saved("nan", nan))
    extra = merge(good, Dict("layers.5.bias" => ones(1)))
    @test occursin("layers.5.bias", saved("extra", extra))
    counts = Dict{String,Array}("layers.0.weight" => ones(Int, 1, 1), "layers.0.bias" => ones(1))
    @test occursin("floating-point", saved("integers", counts))
    text(fields) = Dict("reluopt" => fields)
    @test occursin("JSON object", saved("json", good, text("[1")))
    @test occursin("newer", saved("newer", good, text("""{"schema_version": 2}""")))
    @test occursin(
        "activation",
        saved("tanh", good, text("""{"schema_version": 1, "activation": "tanh"}""")),
    )
    wrong = """{"schema_version": 1, "activation": "relu",
                "architecture": {"type": "dense", "sizes": [3, 2, 2]}}"""
    @test occursin("architecture sizes", saved("sizes", good, text(wrong)))
    return
end

end # module TestWeights

TestWeights
