# Smallest changes of a file of images, without Python:
#
#   julia --project=. julia/scripts/attack.jl net.safetensors images.safetensors \
#       out.safetensors [--norm l1|l2|linf] [--margin x1.2] [--shift 5]
#       [--optimizer highs|gurobi|scip] [--formulation bigm|indicator|thesis]
#       [--bounds ball|linear|interval|lp] [--time-limit 60] [--gap 1e-6]
#       [--threads 1] [--seed 0]
#
# `ReLUOpt.attack_file` tells what the files hold.

using ReLUOpt

const OPTIONS = Dict(
    "norm" => "l1",
    "margin" => "x1.2",
    "shift" => "5",
    "optimizer" => "highs",
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

function main(arguments)
    files, options = parse_arguments(arguments)
    norm = choose(options, "norm", Dict("l1" => 1, "l2" => 2, "linf" => Inf))
    bounds = choose(
        options,
        "bounds",
        Dict(
            "ball" => BallBounds(),
            "linear" => LinearBounds(),
            "interval" => IntervalBounds(),
            "lp" => OptimizationBounds(),
        ),
    )
    optimizer = ReLUOpt.named_optimizer(options["optimizer"])
    # An optimizer that was loaded just now is too new for this method.
    results = Base.invokelatest(
        ReLUOpt.attack_file,
        files...;
        norm,
        bounds,
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
    return results
end

if abspath(PROGRAM_FILE) == @__FILE__
    try
        main(ARGS)
    catch err
        err isa InputError || rethrow()
        println(stderr, "error: ", err.message)
        exit(2)
    end
end
