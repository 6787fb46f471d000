# The thesis' training in Flux: 784-32-16-10, full-batch Adam(0.01), 50 gradient
# steps on all training images, logit cross-entropy (Linkola 2023).
#
#   julia --project=. julia/scripts/train_mnist.jl MNIST_FOLDER net.safetensors \
#       [steps = 50] [seed = 0]
#
# MNIST_FOLDER holds the four idx files, gzipped or not; `train-images-idx3-ubyte`
# and so on. The result is read by `ReLUOpt.load_network` and by Python.

import CodecZlib
import Flux
import Random

using ReLUOpt
using ReLUOpt: InputError

"""Bytes of an idx file (plain or `.gz`) as an array; images come as (column,
row, image), so that `vec` of one gives row-major pixels."""
function read_idx(folder::AbstractString, name::AbstractString)
    path = joinpath(folder, name)
    bytes = if isfile(path)
        read(path)
    elseif isfile(path * ".gz")
        transcode(CodecZlib.GzipDecompressor, read(path * ".gz"))
    else
        throw(InputError("$path: expected this file or $name.gz, found neither"))
    end
    if length(bytes) < 4 || bytes[1:3] != [0x00, 0x00, 0x08]
        throw(InputError("$path: expected an idx file of bytes, found other data"))
    end
    dimensions = Int(bytes[4])
    header = 4 + 4 * dimensions
    sizes = [
        Int(ntoh(only(reinterpret(UInt32, bytes[(4*d+1):(4*d+4)])))) for
        d in 1:dimensions
    ]
    if length(bytes) != header + prod(sizes)
        throw(
            InputError(
                "$path: expected $(prod(sizes)) bytes of data, found " *
                "$(length(bytes) - header)",
            ),
        )
    end
    return reshape(bytes[(header+1):end], reverse(sizes)...)
end

function read_split(folder::AbstractString, prefix::AbstractString)
    images = read_idx(folder, "$prefix-images-idx3-ubyte")
    labels = Int.(read_idx(folder, "$prefix-labels-idx1-ubyte"))
    pixels = reshape(Float32.(images) ./ 255, :, size(images, 3))
    return pixels, labels
end

function accuracy(chain, pixels, labels)
    answers = vec(getindex.(argmax(chain(pixels); dims = 1), 1)) .- 1
    return count(answers .== labels) / length(labels)
end

function train(pixels, labels; steps::Int, seed::Int)
    Random.seed!(seed)
    chain = Flux.Chain(
        Flux.Dense(784 => 32, Flux.relu),
        Flux.Dense(32 => 16, Flux.relu),
        Flux.Dense(16 => 10),
    )
    truth = Flux.onehotbatch(labels, 0:9)
    state = Flux.setup(Flux.Adam(0.01), chain)
    for step in 1:steps
        loss, gradients = Flux.withgradient(chain) do model
            return Flux.Losses.logitcrossentropy(model(pixels), truth)
        end
        Flux.update!(state, chain, gradients[1])
        println(stderr, "step $step of $steps: loss $(round(loss; digits = 4))")
    end
    return chain
end

function main(arguments)
    if !(2 <= length(arguments) <= 4)
        throw(
            InputError(
                "arguments: expected MNIST_FOLDER net.safetensors [steps] [seed]",
            ),
        )
    end
    folder, path = arguments[1:2]
    steps = parse(Int, get(arguments, 3, "50"))
    seed = parse(Int, get(arguments, 4, "0"))
    pixels, labels = read_split(folder, "train")
    chain = train(pixels, labels; steps, seed)
    test_accuracy = accuracy(chain, read_split(folder, "t10k")...)
    ReLUOpt.export_safetensors(
        path,
        chain;
        input_shape = (28, 28),
        class_names = string.(0:9),
        test_accuracy,
        recipe = Dict(
            "tool" => "Flux",
            "optimizer" => "Adam",
            "learning_rate" => 0.01,
            "batch" => "full",
            "steps" => steps,
            "seed" => seed,
            "loss" => "logitcrossentropy",
            "training_images" => length(labels),
        ),
    )
    println(stderr, "test accuracy $(round(100 * test_accuracy; digits = 2)) %: $path")
    return
end

if abspath(PROGRAM_FILE) == @__FILE__
    try
        main(ARGS)
    catch err
        err isa ReLUOpt.REFUSALS || rethrow()
        println(stderr, "error: ", ReLUOpt.message_of(err))
        exit(2)
    end
end
