# Tiny problems that are solved while the package is precompiled: without them the
# first solve of a session would compile for half a minute.

PrecompileTools.@setup_workload begin
    network = ReLUNetwork([
        Dense([1.0 0.5; -0.5 1.0; 0.25 -1.0], [0.1, -0.2, 0.3]),
        Dense([1.0 -1.0 0.5; 0.5 1.0 -1.0], [0.0, 0.1]),
        Dense([1.0 -1.0; -1.0 1.0], [0.0, 0.0]),
    ])
    image = [0.25, 0.75]
    target = 1 - predict(network, image)
    margin = AbsoluteMargin(0.01)
    wanted = conditions(margin, target, 2)
    request = Dict{String,Array}(
        "image" => image,
        "lower" => zeros(2),
        "upper" => ones(2),
        "matrix" => wanted.matrix,
        "rhs" => wanted.rhs,
    )
    fields = Dict{String,Any}(
        "task" => "perturbation",
        "norm" => "l1",
        "target" => target,
        "formulation" => "bigm",
        "optimizer" => "highs",
        "time_limit" => 10.0,
        "gap" => 1e-6,
        "threads" => 1,
        "seed" => 0,
        "verbose" => false,
    )
    PrecompileTools.@compile_workload begin
        for norm in (1, 2, Inf), start in (missing, nothing)
            minimal_perturbation(
                network,
                image,
                target;
                norm,
                margin,
                incumbent = start,
                callback = (objective, bound, nodes) -> false,
            )
        end
        minimal_perturbation(network, image, target; margin, formulation = ThesisBigM())
        for norm in (1, Inf)
            verify(network, image, 1 - target, 0.5; norm)
            worst_case(network, image, 1 - target, 0.5; norm)
        end
        classify(network, image)
        optimal_input(network, 0; bounds = OptimizationBounds())
        mktempdir() do folder
            path(name) = joinpath(folder, name)
            save_network(path("network"), network)
            loaded = load_network(path("network"))
            write_tensors(path("request"), request, Dict("request" => JSON3.write(fields)))
            return solve_request(loaded, path("request"), path("answer"))
        end
    end
end
