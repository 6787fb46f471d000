"""
    solve_request(network, request_path, answer_path;
                  optimizers = Dict("highs" => HiGHS.Optimizer),
                  callback = nothing)

Solve one problem that another program wrote to a safetensors file, and write
the answer to another one; the Python package drives Julia by it.

The request has the metadata entry `"request"`, a JSON object with `task`
(`"perturbation"`, `"logit"` or `"region"`), `norm` (`"l1"`, `"l2"`, `"linf"`), `target` or
`label`, `formulation`, `optimizer` (a key of `optimizers`, whose values are what
`JuMP.Model` takes), `time_limit`, `gap`, `threads`, `seed` and `verbose`, and the
tensors `lower` and `upper` (the box), `image`, `matrix` and `rhs` (the
conditions), and optionally `incumbent` and, for every affine map `k` of the
[`lowered`](@ref) network, counted from 0, `bounds.{k}.lower` and `bounds.{k}.upper`. `cutoff` may be given for a
perturbation. A region has `decides`, `targets`, and `radius` if it is a ball (around
`image`), and for the `i`-th target, counted from 0, the tensors `goal.{i}.matrix` and
`goal.{i}.rhs`, and `conditions.{i}.matrix` and `conditions.{i}.rhs` if there are any.

The answer has the metadata entry `"answer"`, a JSON object with `status`,
`objective`, `bound`, `nodes`, `build_seconds`, `search_seconds`, `variables`,
`constraints`, `binaries` and `message` (and `target` for `"region"`), and the tensors
`image` and (for `"logit"`) `outputs`, the logits as the program computed them, if there
are any.
"""
function solve_request(
    network::ReLUNetwork,
    request_path::AbstractString,
    answer_path::AbstractString;
    optimizers::AbstractDict = Dict("highs" => HiGHS.Optimizer),
    callback = nothing,
)
    tensors, texts = read_tensors(request_path)
    if !haskey(texts, "request")
        throw(InputError("$request_path: expected a metadata entry 'request'"))
    end
    fields = JSON3.read(texts["request"], Dict{String,Any}; allow_inf = true)
    settings = (;
        optimizer = _requested_optimizer(optimizers, fields["optimizer"]),
        formulation = parse_formulation(fields["formulation"]),
        bounds = _requested_bounds(network, tensors),
        time_limit = Float64(fields["time_limit"]),
        gap = Float64(fields["gap"]),
        threads = Int(fields["threads"]),
        seed = Int(fields["seed"]),
        verbose = fields["verbose"]::Bool,
        callback,
    )
    result = TASKS[fields["task"]](network, tensors, fields, settings)
    answer = (;
        status = string(result.status),
        result.objective,
        result.bound,
        result.nodes,
        result.build_seconds,
        result.search_seconds,
        result.variables,
        result.constraints,
        result.binaries,
        result.message,
        _further_fields(result)...,
    )
    found = _answer_tensors(result)
    # The format allows files without tensors, some readers do not.
    isempty(found) && (found["none"] = zeros(1))
    write_tensors(
        answer_path,
        found,
        Dict("answer" => JSON3.write(answer; allow_inf = true)),
    )
    return result
end

function _requested_optimizer(optimizers::AbstractDict, name::AbstractString)
    haskey(optimizers, name) && return optimizers[name]
    throw(
        InputError(
            "optimizer: expected one of " *
            "$(join(sort!(collect(keys(optimizers))), ", ")), found $(repr(name))",
        ),
    )
end

function _requested_bounds(network::ReLUNetwork, tensors::Dict{String,Array})
    haskey(tensors, "bounds.0.lower") || return LinearBounds()
    layers = 0:(length(network.affine_layers)-1)
    return PreActivationBounds(
        [Vector{Float64}(tensors["bounds.$k.lower"]) for k in layers],
        [Vector{Float64}(tensors["bounds.$k.upper"]) for k in layers],
    )
end

_further_fields(result) = (;)
_further_fields(result::RegionResult) = (; result.target)

function _answer_tensors(result)
    image = result.image
    return image === nothing ? Dict{String,Array}() : Dict{String,Array}("image" => image)
end

function _answer_tensors(result::LogitResult)
    found = Dict{String,Array}("outputs" => result.program_logits)
    isempty(result.program_logits) && empty!(found)
    result.input === nothing || (found["image"] = result.input)
    return found
end

function _solve_logit_request(network, tensors, fields, settings)
    box = Box(vec(tensors["lower"]), vec(tensors["upper"]))
    label = Int(fields["label"])
    return optimal_input(network, label; box, settings...)
end

"""The norms by the names that requests use."""
const NORMS = Dict{String,AbstractNorm}("l1" => L1(), "l2" => L2(), "linf" => LInf())

function _solve_region_request(network, tensors, fields, settings)
    box = Box(vec(tensors["lower"]), vec(tensors["upper"]))
    region = InputRegion(box)
    if haskey(fields, "radius")
        norm, radius = NORMS[fields["norm"]], Float64(fields["radius"])
        region = InputRegion(box, norm, vec(tensors["image"]), radius)
    end
    alternatives = map(enumerate(fields["targets"])) do (i, target)
        goal = _requested_conditions(tensors, "goal.$(i - 1)")
        haskey(tensors, "conditions.$(i - 1).rhs") || return Alternative(target, goal)
        wanted = _requested_conditions(tensors, "conditions.$(i - 1)")
        return Alternative(target, goal, wanted)
    end
    (; optimizer, formulation, bounds) = settings
    options = _search_options(; settings...)
    problem = RegionProblem(network, region, collect(Alternative, alternatives))
    solve = fields["decides"] ? verify : worst_case
    return solve(problem; optimizer, formulation, bounds, options)
end

function _requested_conditions(tensors, name)
    return LogitConditions(tensors["$name.matrix"], vec(tensors["$name.rhs"]))
end

function _search_options(; optimizer, formulation, bounds, kwargs...)
    return SearchOptions(; kwargs...)
end

function _solve_change_request(network, tensors, fields, settings)
    return minimal_perturbation(
        network,
        vec(tensors["image"]),
        Int(fields["target"]);
        norm = NORMS[fields["norm"]],
        margin = LogitConditions(tensors["matrix"], vec(tensors["rhs"])),
        box = Box(vec(tensors["lower"]), vec(tensors["upper"])),
        incumbent = haskey(tensors, "incumbent") ? vec(tensors["incumbent"]) : nothing,
        cutoff = Float64(get(fields, "cutoff", Inf)),
        settings...,
    )
end

"""What solves a request, by its task."""
const TASKS = Dict{String,Function}(
    "perturbation" => _solve_change_request,
    "logit" => _solve_logit_request,
    "region" => _solve_region_request,
)

"""
    attack_file(network_path, images_path, out_path; norm = 1, shift = 5,
                progress = nothing, kwargs...)

Smallest changes of all images of a safetensors file; the one-shot mode for
clusters and for people without Python.

The file holds `images` (`N x n_0`, or `N x rows x columns`, in ``[0, 1]``), and
optionally `labels` and `targets` (`N` whole numbers counted from 0). A missing
label is what the network answers, a missing target `(label + shift) mod
classes`. Other keywords go to [`minimal_perturbation`](@ref), and
`progress(i, n, result)` is called after each image.

The output holds `images` (NaN where none was found), `objective`, `bound`,
`gap`, `nodes`, `build_seconds`, `search_seconds`, `label`, `target`,
`predicted` (-1 where no image was found), `certified`, and the metadata entry
`"status"`, a JSON list with one [`SolveStatus`](@ref) for each image.
"""
function attack_file(
    network_path::AbstractString,
    images_path::AbstractString,
    out_path::AbstractString;
    norm::Union{Real,AbstractNorm} = 1,
    shift::Integer = 5,
    progress = nothing,
    kwargs...,
)
    network = load_network(network_path)
    tensors, _ = read_tensors(images_path)
    images = _image_rows(network, images_path, tensors)
    n, classes = length(images), output_size(network)
    labels = _label_list(images_path, tensors, "labels", n) do i
        return predict(network, images[i])
    end
    targets = _label_list(images_path, tensors, "targets", n) do i
        return mod(labels[i] + shift, classes)
    end
    results = map(1:n) do i
        result = minimal_perturbation(network, images[i], targets[i]; norm, kwargs...)
        progress === nothing || progress(i, n, result)
        return result
    end
    missing_image = fill(NaN, input_size(network))
    found = [something(r.image, missing_image) for r in results]
    output = Dict{String,Array}(
        "images" => permutedims(reduce(hcat, found)),
        "label" => labels,
        "target" => targets,
        "predicted" =>
            [r.certificate === nothing ? -1 : r.certificate.predicted for r in results],
        "certified" =>
            [r.certificate !== nothing && r.certificate.certified for r in results],
        "nodes" => [r.nodes for r in results],
    )
    for name in (:objective, :bound, :gap, :build_seconds, :search_seconds)
        output[string(name)] = [getproperty(r, name) for r in results]
    end
    status = [string(r.status) for r in results]
    write_tensors(out_path, output, Dict("status" => JSON3.write(status)))
    return results
end

"""The images of a file as vectors in row-major pixel order."""
function _image_rows(network::ReLUNetwork, path, tensors)
    if !haskey(tensors, "images") || ndims(tensors["images"]) < 2
        throw(
            InputError(
                "$path: expected a tensor 'images' (N x pixels, or N x rows x " *
                "columns), found $(join(sort!(collect(keys(tensors))), ", "))",
            ),
        )
    end
    stored = tensors["images"]
    if length(stored) != size(stored, 1) * input_size(network)
        throw(
            InputError(
                "$path: tensor 'images': expected $(input_size(network)) " *
                "pixels an image, found shape $(size(stored))",
            ),
        )
    end
    return [flat_image(image) for image in eachslice(stored; dims = 1)]
end

function _label_list(default, path, tensors, name, n)
    haskey(tensors, name) || return Int[default(i) for i in 1:n]
    if length(tensors[name]) != n
        throw(
            InputError(
                "$path: tensor '$name': expected $n labels, found " *
                "$(length(tensors[name]))",
            ),
        )
    end
    return Vector{Int}(vec(tensors[name]))
end
