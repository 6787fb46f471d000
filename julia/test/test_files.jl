module TestFiles

using ReLUOpt
using Test

import JSON3

include("examples.jl")

const ATTACK_SCRIPT = joinpath(@__DIR__, "..", "scripts", "attack.jl")

"""A network and a file of images; returns their paths."""
function example_files(folder)
    network = ReLUNetwork(
        random_network(1, 6, 8, 5, 3).layers,
        NetworkMetadata(; input_shape = [2, 3]),
    )
    net, images = joinpath(folder, "net.safetensors"), joinpath(folder, "images.safetensors")
    save_network(net, network)
    rows = reduce(hcat, random_inputs(2, 6, 3))'
    ReLUOpt.write_tensors(images, Dict("images" => collect(rows)))
    return net, images, rows
end

function test_attack_file()
    folder = mktempdir()
    net, images, rows = example_files(folder)
    out = joinpath(folder, "out.safetensors")
    margin = AbsoluteMargin(0.01)
    results = ReLUOpt.attack_file(net, images, out; shift = 1, margin)
    tensors, texts = ReLUOpt.read_tensors(out)
    network = load_network(net)
    for (i, result) in enumerate(results)
        @test tensors["label"][i] == predict(network, rows[i, :])
        @test tensors["target"][i] == mod(tensors["label"][i] + 1, 3)
        if result.image !== nothing
            x0 = tensors["images"][i, :]
            @test x0 == result.image
            @test tensors["predicted"][i] == predict(network, x0)
            @test tensors["objective"][i] ≈ sum(abs, x0 - rows[i, :])
            @test tensors["certified"][i]
        end
    end
    @test JSON3.read(texts["status"], Vector{String}) == [string(r.status) for r in results]
    return
end

function test_images_with_rows_and_columns()
    folder = mktempdir()
    net, images, rows = example_files(folder)
    square = permutedims(reshape(Matrix(rows)', 3, 2, 3), (3, 2, 1))
    other = joinpath(folder, "square.safetensors")
    ReLUOpt.write_tensors(other, Dict("images" => square))
    network = load_network(net)
    tensors, _ = ReLUOpt.read_tensors(other)
    found = ReLUOpt._image_rows(network, other, tensors)
    @test all(found[i] == rows[i, :] for i in 1:3)
    return
end

function test_request_and_answer()
    folder = mktempdir()
    network = random_network(1, 6, 8, 5, 3)
    image = random_inputs(2, 6, 1)[1]
    target = mod(predict(network, image) + 1, 3)
    wanted = ReLUOpt.conditions(AbsoluteMargin(0.01), target, 3)
    fields = Dict(
        "task" => "perturbation",
        "norm" => "l1",
        "target" => target,
        "formulation" => "bigm",
        "optimizer" => "highs",
        "time_limit" => 30.0,
        "gap" => 1e-6,
        "threads" => 1,
        "seed" => 0,
        "verbose" => false,
    )
    tensors = Dict{String,Array}(
        "image" => image,
        "lower" => zeros(6),
        "upper" => ones(6),
        "matrix" => wanted.matrix,
        "rhs" => wanted.rhs,
    )
    request, answer = joinpath(folder, "request"), joinpath(folder, "answer")
    ReLUOpt.write_tensors(request, tensors, Dict("request" => JSON3.write(fields)))
    result = ReLUOpt.solve_request(network, request, answer)
    found, texts = ReLUOpt.read_tensors(answer)
    said = JSON3.read(texts["answer"]; allow_inf = true)
    @test said.status == "OPTIMAL"
    @test said.objective ≈ result.objective
    @test found["image"] == result.image
    direct = minimal_perturbation(network, image, target; margin = AbsoluteMargin(0.01))
    @test said.objective ≈ direct.objective rtol = 1e-6
    return
end

function test_script_arguments()
    script = Module(:AttackScript)
    Core.eval(script, :(include(path) = Base.include($script, path)))
    Base.include(script, ATTACK_SCRIPT)
    folder = mktempdir()
    net, images, _ = example_files(folder)
    out = joinpath(folder, "out.safetensors")
    run(arguments) = redirect_stderr(devnull) do
        return Base.invokelatest() do
            files, options = script.parse_arguments(arguments)
            optimizer = script.imported_optimizer(options["optimizer"])
            return script.attack(files, options, optimizer)
        end
    end
    results = run([net, images, out, "--norm", "l2", "--margin", "+0.01", "--shift", "1"])
    @test length(results) == 3
    @test isfile(out)
    for bad in (
        [net, images],
        [net, images, out, "--norm", "l3"],
        [net, images, out, "--other", "1"],
        [net, images, out, "--gap"],
        [net, images, out, "--gap", "small"],
        [net, images, out, "--optimizer", "NoSuchSolver"],
    )
        @test_throws InputError run(bad)
    end
    return
end

function test_errors()
    folder = mktempdir()
    net, images, _ = example_files(folder)
    out = joinpath(folder, "out.safetensors")
    wrong = joinpath(folder, "wrong.safetensors")
    ReLUOpt.write_tensors(wrong, Dict("pictures" => ones(2, 6)))
    @test_throws InputError ReLUOpt.attack_file(net, wrong, out)
    ReLUOpt.write_tensors(wrong, Dict("images" => ones(2, 5)))
    @test_throws InputError ReLUOpt.attack_file(net, wrong, out)
    ReLUOpt.write_tensors(wrong, Dict("images" => ones(2, 6), "labels" => [1]))
    @test_throws InputError ReLUOpt.attack_file(net, wrong, out)
    @test_throws InputError ReLUOpt.solve_request(load_network(net), wrong, out)
    return
end

end # module TestFiles

TestFiles
