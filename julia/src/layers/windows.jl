"""Largest side, stride, padding or dilation; more is no window that anybody has."""
const MAX_LENGTH = 2^20

"""Entries of all windows of an image; more is no layer that fits into memory."""
const MAX_ENTRIES = 2^27

"""
    Windows(input_shape, kernel; stride = 1, padding = 0, dilation = 1, ceil = false)

The windows that a layer slides over images of `input_shape = (channels, rows,
columns)`. Window `(y, x)`, counted from 0, holds the entries
`(y * stride + h * dilation - padding, ...)` for `h, w` of the kernel; what lies outside
the image is *padding*. With `ceil`, a last window that begins inside the image or its
leading padding counts although it does not fit (PyTorch's rule).

`kernel`, `stride` and `dilation` are one number or `(rows, columns)`, `padding` is one
number or `(top, left, bottom, right)`.

Throws an `ArgumentError` for a number out of range, and if no window fits.
"""
struct Windows
    input_shape::NTuple{3,Int}
    kernel::NTuple{2,Int}
    stride::NTuple{2,Int}
    padding::NTuple{4,Int}
    dilation::NTuple{2,Int}
    ceil::Bool

    function Windows(
        input_shape,
        kernel;
        stride = 1,
        padding = 0,
        dilation = 1,
        ceil::Bool = false,
    )
        windows = new(
            whole_numbers("input_shape", input_shape, Val(3), 1),
            whole_numbers("kernel", kernel, Val(2), 1),
            whole_numbers("stride", stride, Val(2), 1),
            whole_numbers("padding", padding, Val(4), 0),
            whole_numbers("dilation", dilation, Val(2), 1),
            ceil,
        )
        sides, shape = output_sides(windows), windows.input_shape
        kernel_size = prod(windows.kernel)
        entries = kernel_size * max(prod(shape), shape[1] * prod(sides))
        if entries > MAX_ENTRIES
            throw(
                ArgumentError(
                    "kernel: expected at most $MAX_ENTRIES entries in all windows, " *
                    "found $entries",
                ),
            )
        elseif minimum(sides) < 1
            throw(
                ArgumentError(
                    "kernel: expected a window that fits into $shape with padding " *
                    "$(windows.padding), found $(windows.kernel) with dilation " *
                    "$(windows.dilation)",
                ),
            )
        end
        return windows
    end
end

"""`N` whole numbers from `least` on; one number stands for `N` equal ones."""
function whole_numbers(name::String, values, ::Val{N}, least::Int) where {N}
    given = values isa Integer ? ntuple(_ -> values, N) : values
    fits(v) = v isa Integer && !(v isa Bool) && least <= v <= MAX_LENGTH
    if !(given isa Union{Tuple,AbstractVector} && length(given) == N && all(fits, given))
        throw(
            ArgumentError(
                "$name: expected $N whole numbers from $least on, found " *
                first(repr(values), 80),
            ),
        )
    end
    return ntuple(i -> Int(given[i]), Val(N))
end

input_size(windows::Windows) = prod(windows.input_shape)

"""Number of windows in rows and in columns."""
function output_sides(windows::Windows)
    return ntuple(Val(2)) do axis
        size, before = windows.input_shape[1+axis], windows.padding[axis]
        stride = windows.stride[axis]
        reach = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
        room = size + before + windows.padding[2+axis] - reach
        count = fld(room, stride) + 1
        partial = windows.ceil && mod(room, stride) > 0
        return count + (partial && count * stride < size + before)
    end
end

"""Row (`axis = 1`) or column of each entry (down) of each window (across), 0 for
padding."""
function _places(windows::Windows, axis::Int)
    size, stride = windows.input_shape[1+axis], windows.stride[axis]
    places = [
        y * stride + h * windows.dilation[axis] - windows.padding[axis] + 1 for
        h in 0:(windows.kernel[axis]-1), y in 0:(output_sides(windows)[axis]-1)
    ]
    return ifelse.(1 .<= places .<= size, places, 0)
end

"""
Number of the entry at every place of every window, and 0 for padding: an array
`[kernel column, kernel row, window column, window row, channel]`, whose order in memory
is that of the Python package.
"""
function entry_numbers(windows::Windows)
    rows, columns = _places(windows, 1), _places(windows, 2)
    channels, height, width = windows.input_shape
    return [
        (rows[h, y] > 0) * (columns[w, x] > 0) *
        (((c - 1) * height + rows[h, y] - 1) * width + columns[w, x]) for
        w in axes(columns, 1), h in axes(rows, 1), x in axes(columns, 2),
        y in axes(rows, 2), c in 1:channels
    ]
end

"""The numbers of the entries of each window of each channel, without padding."""
function window_entries(windows::Windows)
    numbers = reshape(entry_numbers(windows), prod(windows.kernel), :)
    return [filter(>(0), column) for column in eachcol(numbers)]
end

function settings(windows::Windows)
    names = (:input_shape, :kernel, :stride, :padding, :dilation)
    lists = [string(name) => collect(getfield(windows, name)) for name in names]
    return Dict{String,Any}(lists..., "ceil" => windows.ceil)
end

"""The windows that a file says."""
function read_windows(settings::AbstractDict)
    names = ("input_shape", "kernel", "stride", "padding", "dilation")
    lists = map(names) do name
        value = get(settings, name, nothing)
        # One number for all is a convenience of code, not of files.
        return value isa AbstractVector ? value : (value,)
    end
    input_shape, kernel, stride, padding, dilation = lists
    ceil = flag(settings, "ceil")
    return Windows(input_shape, kernel; stride, padding, dilation, ceil)
end

"""A setting that is true or false."""
function flag(settings::AbstractDict, name::String)
    value = get(settings, name, nothing)
    value isa Bool && return value
    throw(InputError("$name: expected true or false, found $(first(repr(value), 80))"))
end
