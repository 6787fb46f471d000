"""
    InputError(message)

An argument, file, tensor or option does not hold what was expected. The
message is one line that names it, what was expected and what was found.
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

The chosen optimizer cannot solve this kind of problem; the message says which
can.
"""
struct UnsupportedProblemError <: Exception
    message::String
end

function Base.showerror(io::IO, error::UnsupportedProblemError)
    print(io, "UnsupportedProblemError: ", error.message)
    return
end
