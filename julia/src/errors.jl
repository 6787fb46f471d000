"""
    InputError(message)

A file, or a tensor or metadata entry in it, does not hold what was expected. The
message is one line that names it, what was expected and what was found.

Arguments of functions are refused with an `ArgumentError` or a
`DimensionMismatch`, as anywhere in Julia.
"""
struct InputError <: Exception
    message::String
end

function Base.showerror(io::IO, error::InputError)
    print(io, "InputError: ", error.message)
    return
end

"""
    UnsupportedProblemError(message)

The chosen optimizer or search cannot solve this kind of problem; the message says
which can.
"""
struct UnsupportedProblemError <: Exception
    message::String
end

function Base.showerror(io::IO, error::UnsupportedProblemError)
    print(io, "UnsupportedProblemError: ", error.message)
    return
end

"""The errors that tell what is wrong with an input in one line."""
const REFUSALS =
    Union{ArgumentError,DimensionMismatch,InputError,UnsupportedProblemError}

message_of(error::Union{ArgumentError,DimensionMismatch}) = string(error.msg)
message_of(error::Union{InputError,UnsupportedProblemError}) = error.message
