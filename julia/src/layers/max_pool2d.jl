"""
    MaxPool2d(windows)

The largest entry of every window of every channel; padding never is the largest.

It lowers to a tournament, ``\\max(a, b) = (a - b)^+ + b^+ - (-b)^+``, in as many rounds
as the base-2 logarithm of the largest window, rounded up. In programs it has rows of
its own, see [`ReLUOpt.add_max!`](@ref).

Throws an `ArgumentError` for a window of padding only.

```jldoctest
julia> using ReLUOpt

julia> pool = ReLUOpt.MaxPool2d(ReLUOpt.Windows((1, 2, 4), 2; stride = 2));

julia> pool([1.0, 4.0, 0.0, 2.0,
             3.0, 2.0, 1.0, 5.0])
2-element Vector{Float64}:
 4.0
 5.0
```
"""
struct MaxPool2d <: Layer
    windows::Windows

    function MaxPool2d(windows::Windows)
        require_entries(windows)
        return new(windows)
    end
end

input_size(layer::MaxPool2d) = input_size(layer.windows)

function output_size(layer::MaxPool2d)
    return layer.windows.input_shape[1] * prod(output_sides(layer.windows))
end

function (layer::MaxPool2d)(x::AbstractVector{<:Real})
    return Float64[maximum(view(x, entries)) for entries in window_entries(layer.windows)]
end

"""A linear form: pairs of the number of a value and its factor."""
const Form = Vector{Pair{Int,Float64}}

function lower(layer::MaxPool2d)
    windows = [
        [Form([number => 1.0]) for number in entries] for
        entries in window_entries(layer.windows)
    ]
    maps, inputs = AffineMap[], input_size(layer)
    while maximum(length, windows) > 1
        neurons = Form[]
        windows = map(windows) do forms
            pairs = Iterators.partition(forms, 2)
            return [_winner(collect(pair), neurons) for pair in pairs]
        end
        push!(maps, _affine_forms(neurons, inputs))
        inputs = length(neurons)
    end
    return push!(maps, _affine_forms(only.(windows), inputs))
end

"""The larger of one or two forms, in neurons that are added to `neurons`."""
function _winner(pair::Vector{Form}, neurons::Vector{Form})
    n, last = length(neurons), pair[end]
    minus = [number => -factor for (number, factor) in last]
    if length(pair) == 1
        push!(neurons, last, minus)
        return [n + 1 => 1.0, n + 2 => -1.0]
    end
    # The two have no value in common.
    push!(neurons, [pair[1]; minus], last, minus)
    return [n + 1 => 1.0, n + 2 => 1.0, n + 3 => -1.0]
end

"""The forms as rows of a matrix, without a bias."""
function _affine_forms(forms::Vector{Form}, inputs::Int)
    rows = [i for (i, form) in enumerate(forms) for _ in form]
    terms = reduce(vcat, forms)
    matrix = sparse(rows, first.(terms), last.(terms), length(forms), inputs)
    return SparseAffine(matrix, zeros(length(forms)))
end

function add_layer!(
    model::JuMP.GenericModel{T},
    added::NetworkFormulation{T},
    layer::MaxPool2d,
    place::Place{T},
) where {T}
    windows = window_entries(layer.windows)
    largest = maximum(length, windows)
    rounds = largest > 1 ? ndigits(largest - 1; base = 2) : 0
    k = place.relus + 1
    low, high = _known_limits(place.values)
    rounds > 0 && _tighten_by_matches!(low, high, windows, added.bounds, k)
    # Rounding may let the two cross where a value is constant.
    low, high = min.(low, high), max.(low, high)
    values = copy(place.values)
    for i in (rounds > 0 ? sort!(unique(reduce(vcat, windows))) : Int[])
        values[i] = _single_term!(model, added, values[i], low[i], high[i], "a[$k,$i]")
    end
    place.parts += 1
    pool = PoolRows{T}(place.parts, values, [], [], [])
    for (i, numbers) in enumerate(windows)
        kept = numbers[surviving_candidates(low[numbers], high[numbers])]
        y, z = add_max!(model, added, values[kept], low[kept], high[kept], "[$k,$i]")
        push!(pool.y, y)
        push!(pool.candidates, kept)
        push!(pool.z, z)
    end
    push!(added.pools, pool)
    for parts in (added.x, added.s, added.z), _ in 1:rounds
        push!(parts, Affine{T}[])
    end
    place.relus += rounds
    place.values = pool.y
    return
end

"""
Tighten bounds of the values by those of the neurons `a - b`, `b` and `-b` of the first
round of the tournament, ReLU layer `k` of the lowered network.
"""
function _tighten_by_matches!(low, high, windows, bounds::PreActivationBounds, k::Int)
    L, U, n = bounds.lower[k], bounds.upper[k], 0
    for numbers in windows, pair in Iterators.partition(numbers, 2)
        b, lead = last(pair), length(pair) - 1
        low[b] = max(low[b], L[n+lead+1], -U[n+lead+2])
        high[b] = min(high[b], U[n+lead+1], -L[n+lead+2])
        if lead == 1
            a = first(pair)
            low[a] = max(low[a], L[n+1] + low[b])
            high[a] = min(high[a], U[n+1] + high[b])
        end
        n += lead + 2
    end
    return
end

kind(::MaxPool2d) = "max-pool2d"
settings(layer::MaxPool2d) = settings(layer.windows)

function build(::Type{MaxPool2d}, settings::AbstractDict, ::AbstractDict)
    return MaxPool2d(read_windows(settings))
end
