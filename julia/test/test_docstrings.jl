module TestDocstrings

using ReLUOpt
using Test

const SOURCES = joinpath(@__DIR__, "..", "src")

"""Every ```` ```jldoctest ```` block of a file, as it reads in the help."""
function examples(path)
    text = replace(read(path, String), "\\\\" => "\\")
    return [m[1] for m in eachmatch(r"```jldoctest\n(.*?)```"s, text)]
end

"""`(code, expected output)` for each prompt of a block."""
function steps(block)
    return map(split(block, "julia> "; keepempty = false)) do step
        lines = split(step, '\n')
        # Continued input is indented below the prompt.
        last = findlast(l -> startswith(l, "       "), lines)
        code = something(last, 1)
        return join(lines[1:code], '\n'), strip(join(lines[(code+1):end], '\n'))
    end
end

function shown(scope, value)
    value === nothing && return ""
    io = IOBuffer()
    show(IOContext(io, :limit => true, :module => scope), MIME("text/plain"), value)
    return strip(String(take!(io)))
end

function test_examples_print_what_they_say()
    count = 0
    files = [joinpath(folder, file) for (folder, _, files) in walkdir(SOURCES) for file in files]
    for file in files, block in examples(file)
        scope = Module(:Example)
        for (code, expected) in steps(block)
            value = Core.eval(scope, Meta.parseall(code))
            if !endswith(rstrip(code), ";") && !isempty(expected)
                count += 1
                @test shown(scope, value) == expected
            end
        end
    end
    @test count >= 7
    return
end

end # module TestDocstrings

TestDocstrings
