module TestCnn

using ReLUOpt
using Test

import JSON3
import JuMP

include("examples.jl")

const FOLDER = joinpath(@__DIR__, "data")

"""A convolutional network that Python made, see data/README.md."""
python_cnn() = load_network(joinpath(FOLDER, "cnn.safetensors"))

function reference()
    tensors, texts = ReLUOpt.read_tensors(joinpath(FOLDER, "cnn-reference.safetensors"))
    images = [flat_image(image) for image in eachslice(tensors["images"]; dims = 1)]
    return images, tensors["logits"], JSON3.read(texts["cases"])
end

function test_logits_are_those_of_python()
    network = python_cnn()
    images, logits, _ = reference()
    @test ReLUOpt.layer_sizes(network) == [64, 32, 48, 24, 16, 8, 3]
    for (i, image) in enumerate(images)
        @test forward(network, image) ≈ logits[i, :] rtol = 1e-12
        for formulation in (BigM(), Indicator(), ThesisBigM(50))
            result = classify(network, image; formulation)
            @test result.status == SolveStatus.OPTIMAL
            @test result.label == argmax(logits[i, :]) - 1
            @test result.program_logits ≈ logits[i, :] atol = 1e-6
        end
    end
    return
end

"""Optima that the Python engines proved, see data/README.md."""
function test_stored_optima()
    network = python_cnn()
    images, _, cases = reference()
    norms = Dict("l1" => 1, "l2" => 2, "linf" => Inf)
    @test length(cases) == 12
    for case in cases
        result = minimal_perturbation(
            network,
            images[case.image+1],
            case.target;
            norm = norms[case.norm],
            margin = ReLUOpt.parse_margin(case.margin),
            time_limit = 120,
        )
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ case.objective rtol = 1e-5
        @test result.certificate.predicted == case.target
    end
    return
end

function test_settings_agree()
    network = python_cnn()
    images, _, cases = reference()
    case = first(c for c in cases if c.image == 1 && c.norm == "l1")
    margin = ReLUOpt.parse_margin(case.margin)
    for setting in (
        (; formulation = Indicator()),
        (; formulation = ThesisBigM(10)),
        (; bounds = LinearBounds()),
        (; bounds = IntervalBounds(), incumbent = nothing),
    )
        result = minimal_perturbation(network, images[2], case.target; margin, setting...)
        @test result.status == SolveStatus.OPTIMAL
        @test result.objective ≈ case.objective rtol = 1e-5
    end
    return
end

function test_optimal_input_of_the_lowered_network()
    network = python_cnn()
    image = first(first(reference()))
    box = Box(max.(image .- 0.05, 0), min.(image .+ 0.05, 1))
    results = [optimal_input(n, 2; box) for n in (network, ReLUOpt.lowered(network))]
    @test all(r -> r.status == SolveStatus.OPTIMAL, results)
    @test results[1].objective ≈ results[2].objective rtol = 1e-5
    # The rows of the pool are fewer than those of the tournament.
    @test results[1].variables < results[2].variables
    return
end

end # module TestCnn

TestCnn
