# Smallest changes of a file of images, without Python:
#
#   julia --project=. julia/scripts/attack.jl net.safetensors images.safetensors \
#       out.safetensors [--norm l1|l2|linf] [--margin x1.2] [--shift 5]
#       [--optimizer HiGHS|Gurobi|SCIP|...] [--formulation bigm|indicator|thesis]
#       [--bounds ball|linear|interval|lp] [--time-limit 60] [--gap 1e-6]
#       [--threads 1] [--seed 0]
#
# `ReLUOpt.attack_file` tells what the files hold. The optimizer is that of a
# package in the environment that has an `Optimizer`.

using ReLUOpt
using ReLUOpt:
    BallBounds, InputError, IntervalBounds, LinearBounds, OptimizationBounds

const OPTIONS = Dict(
    "norm" => "l1",
    "margin" => "x1.2",
    "shift" => "5",
    "optimizer" => "HiGHS",
    "formulation" => "bigm",
    "bounds" => "ball",
    "time-limit" => "60",
    "gap" => "1e-6",
    "threads" => "1",
    "seed" => "0",
)

"""Positional arguments and options of the command line."""
function parse_arguments(arguments)
    files, options = String[], copy(OPTIONS)
    queue = copy(arguments)
    while !isempty(queue)
        argument = popfirst!(queue)
        if !startswith(argument, "--")
            push!(files, argument)
            continue
        end
        name = chopprefix(argument, "--")
        haskey(OPTIONS, name) || throw(
            InputError(
                "option: expected one of --" *
                "$(join(sort!(collect(keys(OPTIONS))), ", --")), found $argument",
            ),
        )
        isempty(queue) && throw(InputError("$argument: expected a value after it"))
        options[name] = popfirst!(queue)
    end
    length(files) == 3 || throw(
        InputError(
            "arguments: expected net.safetensors images.safetensors " *
            "out.safetensors, found $(length(files)) files",
        ),
    )
    return files, options
end

"""The value of an option, looked up among its names or read as a number."""
function choose(options, name, choices::Dict)
    haskey(choices, options[name]) && return choices[options[name]]
    throw(
        InputError(
            "--$name: expected $(join(sort!(collect(keys(choices))), ", ")), " *
            "found $(options[name])",
        ),
    )
end

function number(options, name, type)
    value = tryparse(type, options[name])
    value === nothing || return value
    throw(InputError("--$name: expected a number, found $(options[name])"))
end

"""The optimizer of the package called `name`, imported here."""
function imported_optimizer(name)
    if !Meta.isidentifier(name) || Base.find_package(name) === nothing
        throw(
            InputError(
                "--optimizer: expected a package of this environment, such as " *
                "HiGHS, found $name (import Pkg; Pkg.add(\"$name\"))",
            ),
        )
    end
    package = Symbol(name)
    return @eval begin
        import $package
        $package.Optimizer
    end
end

function attack(files, options, optimizer)
    return ReLUOpt.attack_file(
        files...;
        norm = choose(options, "norm", Dict("l1" => 1, "l2" => 2, "linf" => Inf)),
        bounds = choose(
            options,
            "bounds",
            Dict(
                "ball" => BallBounds(),
                "linear" => LinearBounds(),
                "interval" => IntervalBounds(),
                "lp" => OptimizationBounds(),
            ),
        ),
        optimizer,
        margin = ReLUOpt.parse_margin(options["margin"]),
        shift = number(options, "shift", Int),
        formulation = ReLUOpt.parse_formulation(options["formulation"]),
        time_limit = number(options, "time-limit", Float64),
        gap = number(options, "gap", Float64),
        threads = number(options, "threads", Int),
        seed = number(options, "seed", Int),
        progress = (i, n, result) -> println(
            stderr,
            "image $i of $n: $(result.status), objective ",
            round(result.objective; sigdigits = 7),
            ", gap ",
            round(result.gap; sigdigits = 2),
        ),
    )
end

"""Say what is wrong with the input in one line, and leave."""
function refuse(err)
    err isa ReLUOpt.REFUSALS || rethrow()
    println(stderr, "error: ", ReLUOpt.message_of(err))
    exit(2)
end

if abspath(PROGRAM_FILE) == @__FILE__
    const COMMAND = try
        files, options = parse_arguments(ARGS)
        (; files, options, optimizer = imported_optimizer(options["optimizer"]))
    catch err
        refuse(err)
    end
end

# A statement of its own: it sees the package that was imported just now.
if abspath(PROGRAM_FILE) == @__FILE__
    try
        attack(COMMAND.files, COMMAND.options, COMMAND.optimizer)
    catch err
        refuse(err)
    end
end
