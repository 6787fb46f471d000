const SCHEMA_VERSION = 1
const METADATA_KEY = "reluopt"
const PIXEL_ORDER = "row-major"

"""More layers than this are no network that can be answered for."""
const MAX_LAYERS = 1_000

"""
    read_tensors(path) -> (tensors, metadata)

Read every tensor of a safetensors file, and its text metadata.

A tensor has the same shape and the same indices (less one) as in Python: the
format stores rows first, SafeTensors.jl turns that around while reading.
"""
function read_tensors(path::AbstractString)
    if !ispath(path)
        throw(
            InputError("$path: expected a safetensors file, found no such file"),
        )
    elseif !isfile(path)
        throw(
            InputError("$path: expected a safetensors file, found a directory"),
        )
    end
    try
        file = SafeTensors.deserialize(path; mmap = false)
        tensors = Dict{String,Array}(name => collect(t) for (name, t) in file)
        return tensors, something(file.metadata, Dict{String,String}())
    catch err
        err isa InterruptException && rethrow()
        reason = first(split(sprint(showerror, err), '\n'))
        throw(
            InputError(
                "$path: expected a safetensors file, found: " *
                first(reason, 200),
            ),
        )
    end
end

"""
    write_tensors(path, tensors, metadata)

Write tensors and text metadata to a safetensors file, all of it or nothing.
"""
function write_tensors(
    path::AbstractString,
    tensors::AbstractDict{String,<:AbstractArray},
    metadata::AbstractDict{String,String} = Dict{String,String}(),
)
    folder = dirname(abspath(path))
    if !isdir(folder)
        throw(InputError("$path: expected a writable place, found no folder $folder"))
    end
    partial, io = mktemp(folder; cleanup = true)
    SafeTensors.serialize(
        io,
        Dict{String,AbstractArray}(tensors),
        Dict{String,String}(metadata),
    )
    close(io)
    # `mktemp` makes private files; results are shared like any other file.
    chmod(partial, 0o644)
    mv(partial, path; force = true)
    return
end

"""
    load_network(path)

Read a [`ReLUNetwork`](@ref) from a safetensors file, as the Python package and
[`save_network`](@ref) write it: `layers.{i}.weight` (out x in) and `layers.{i}.bias`
for dense layers `i = 0..K-1`, and the tensors of other layers by the kinds and settings
that the metadata entry `"reluopt"` tells. Without that entry the layers are dense, and
the text `"activation" => "relu"`
says what stands between the layers; where there is none, ReLU is assumed and a
warning says so.

Throws an [`InputError`](@ref) that names file and tensor if the file cannot be
read, comes from a newer version, or holds a kind of layer that is unknown here.
"""
function load_network(path::AbstractString)
    tensors, texts = read_tensors(path)
    try
        if !haskey(texts, METADATA_KEY)
            layers = _read_dense_layers(tensors)
            _check_activation(texts, layers, path)
            name = first(splitext(basename(path)))
            return ReLUNetwork(layers, NetworkMetadata(; name))
        end
        fields = _parse_fields(texts[METADATA_KEY])
        layers = _promised_layers(fields, tensors)
        return ReLUNetwork(layers, _parse_metadata(fields, path))
    catch err
        err isa REFUSALS || rethrow()
        throw(InputError("$path: $(message_of(err))"))
    end
end

"""
What stands between the layers of another tool's file: what it says, or ReLU,
with a warning.
"""
function _check_activation(
    texts::AbstractDict,
    layers::Vector{Layer},
    path::AbstractString,
)
    stated = get(texts, "activation", nothing)
    if stated === nothing
        if length(layers) > 1
            @warn "assumed: ReLU between the layers of $path (the file does not say)"
        end
    elseif lowercase(stated) != "relu"
        throw(InputError("activation: expected 'relu', found $(repr(stated))"))
    end
    return
end

"""The dense layers of a file that does not say more."""
function _read_dense_layers(tensors::Dict{String,Array})
    count = 0
    while haskey(tensors, "layers.$count.weight")
        count += 1
    end
    if count == 0
        throw(
            InputError(
                "tensor 'layers.0.weight': expected it in the file, found " *
                "only $(join(first(sort!(collect(keys(tensors))), 5), ", ")); " *
                "files of other tools can be converted with the Python " *
                "package (load_network, then save_network)",
            ),
        )
    end
    return _read_layers(tensors, fill((Dense, Dict{String,Any}()), count))
end

"""Layers of these types and settings, and of all tensors of a file."""
function _read_layers(tensors::Dict{String,Array}, kinds::Vector)
    known = Set{String}()
    layers = map(enumerate(kinds)) do (i, (type, given))
        names = Dict(n => "layers.$(i - 1).$n" for n in tensor_names(type, given))
        union!(known, values(names))
        own = Dict(n => _float_tensor(tensors, full) for (n, full) in names)
        try
            return build_layer(type, given, own)
        catch err
            err isa REFUSALS || rethrow()
            listed = join(("'$n'" for n in sort!(collect(values(names)))), " and ")
            place = isempty(names) ? "layer $(i - 1)" : "tensors $listed"
            throw(InputError("$place: $(message_of(err))"))
        end
    end
    for name in keys(tensors)
        if !(name in known)
            throw(
                InputError(
                    "tensor '$name': expected layers.0 to layers.$(length(kinds) - 1) " *
                    "only, found this",
                ),
            )
        end
    end
    return collect(Layer, layers)
end

function _float_tensor(tensors::Dict{String,Array}, name::String)
    if !haskey(tensors, name)
        throw(InputError("tensor '$name': expected it, found no such tensor"))
    elseif !(eltype(tensors[name]) <: AbstractFloat)
        throw(
            InputError(
                "tensor '$name': expected floating-point numbers, " *
                "found $(eltype(tensors[name]))",
            ),
        )
    end
    return tensors[name]
end

"""The JSON object of our metadata entry, its version and kind checked."""
function _parse_fields(text::AbstractString)
    fields = try
        JSON3.read(text, Dict{String,Any})
    catch
        throw(InputError("metadata '$METADATA_KEY': expected a JSON object"))
    end
    version = get(fields, "schema_version", nothing)
    if !(version isa Integer) || version isa Bool || version < 1
        throw(
            InputError(
                "schema_version: expected a whole number, found $(repr(version))",
            ),
        )
    elseif version > SCHEMA_VERSION
        throw(
            InputError(
                "schema_version: expected at most $SCHEMA_VERSION, found " *
                "$version: the file comes from a newer reluopt; upgrade " *
                "reluopt to read it",
            ),
        )
    end
    for (key, expected, default) in (
        ("activation", "relu", nothing),
        ("pixel_order", PIXEL_ORDER, PIXEL_ORDER),
    )
        found = get(fields, key, default)
        if found != expected
            throw(InputError("$key: expected '$expected', found $(repr(found))"))
        end
    end
    return fields
end

"""The layers that our metadata promises."""
function _promised_layers(fields::Dict{String,Any}, tensors::Dict{String,Array})
    architecture = get(fields, "architecture", nothing)
    found = architecture isa AbstractDict ? get(architecture, "type", nothing) : nothing
    if found == "dense"
        layers = _read_dense_layers(tensors)
        _check_sizes(architecture, layers)
        return layers
    elseif found == "layers"
        return _read_layers(tensors, _promised_kinds(architecture))
    end
    throw(
        InputError(
            "architecture: expected type 'dense' or 'layers', found " *
            first(repr(architecture), 80),
        ),
    )
end

function _promised_kinds(architecture::AbstractDict)
    entries = get(architecture, "layers", nothing)
    if !(entries isa AbstractVector && 0 < length(entries) <= MAX_LAYERS)
        throw(
            InputError(
                "architecture layers: expected a list of 1 to $MAX_LAYERS, found " *
                first(repr(entries), 80),
            ),
        )
    end
    return read_entry.(entries)
end

function _check_sizes(architecture::AbstractDict, layers::Vector{Layer})
    sizes = _counts("architecture sizes", get(architecture, "sizes", nothing))
    found = [input_size(first(layers)); output_size.(layers)]
    if sizes != found
        throw(
            InputError(
                "architecture sizes: expected the shapes of the tensors " *
                "($(join(found, "-"))), found $(join(sizes, "-"))",
            ),
        )
    end
    return
end

function _parse_metadata(fields::Dict{String,Any}, path::AbstractString)
    name = get(fields, "name", first(splitext(basename(path))))
    if !(name isa AbstractString)
        throw(InputError("name: expected a text, found $(repr(name))"))
    end
    names = get(fields, "class_names", Any[])
    if !(names isa AbstractVector) || !all(n -> n isa AbstractString, names)
        throw(InputError("class_names: expected a list of texts"))
    end
    recipe = get(fields, "recipe", Dict{String,Any}())
    if !(recipe isa AbstractDict)
        throw(InputError("recipe: expected an object"))
    end
    accuracy = get(fields, "test_accuracy", nothing)
    if accuracy !== nothing &&
       (!(accuracy isa Real) || accuracy isa Bool || !(0 <= accuracy <= 1))
        throw(
            InputError(
                "test_accuracy: expected a fraction in [0, 1], found " *
                repr(accuracy),
            ),
        )
    end
    return NetworkMetadata(;
        name = String(name),
        input_shape = _counts("input_shape", get(fields, "input_shape", Any[])),
        class_names = String.(names),
        recipe = Dict{String,Any}(recipe),
        test_accuracy = accuracy === nothing ? nothing : Float64(accuracy),
    )
end

function _counts(key::AbstractString, value)
    positive(item) = item isa Integer && !(item isa Bool) && item > 0
    if !(value isa AbstractVector) || !all(positive, value)
        throw(
            InputError(
                "$key: expected a list of positive whole numbers, found " *
                repr(value),
            ),
        )
    end
    return Vector{Int}(value)
end

"""
    save_network(path, network)

Write a [`ReLUNetwork`](@ref) to a safetensors file that [`load_network`](@ref)
and the Python package read. Weights are stored in `Float32` when that loses
nothing (as for every trained network) and in `Float64` otherwise.
"""
function save_network(path::AbstractString, network::ReLUNetwork)
    arrays = Dict{String,Array{Float64}}(
        "layers.$(i - 1).$name" => array for (i, layer) in enumerate(network.layers) for
        (name, array) in tensors(layer)
    )
    exact = all(array -> Float64.(Float32.(array)) == array, values(arrays))
    metadata = network.metadata
    fields = (;
        schema_version = SCHEMA_VERSION,
        name = metadata.name,
        architecture = _architecture(network),
        activation = "relu",
        input_shape = metadata.input_shape,
        pixel_order = PIXEL_ORDER,
        class_names = metadata.class_names,
        recipe = metadata.recipe,
        test_accuracy = metadata.test_accuracy,
    )
    write_tensors(
        path,
        exact ? Dict(name => Float32.(array) for (name, array) in arrays) : arrays,
        Dict(METADATA_KEY => JSON3.write(fields)),
    )
    return
end

"""What the metadata say of the layers: sizes of dense ones, else kinds and settings."""
function _architecture(network::ReLUNetwork)
    if all(layer -> kind(layer) == "dense", network.layers)
        return (; type = "dense", sizes = layer_sizes(network))
    end
    return (; type = "layers", layers = entry.(network.layers))
end
