# One file for each file of src/, each a module of `test_` functions.
#
#   julia --project=julia -e 'import Pkg; Pkg.test()'
#
# or, with any environment that has the dependencies, `julia julia/test/runtests.jl`.
# Arguments choose files: `runtests.jl test_bounds.jl`.

using Test

"""Run every function of `mod` whose name starts with `test_`."""
function run_tests(mod::Module)
    for name in sort!(names(mod; all = true); by = string)
        if startswith(string(name), "test_")
            @testset "$name" begin
                getfield(mod, name)()
            end
        end
    end
    return
end

const FILES = [
    file for file in sort!(readdir(@__DIR__)) if
    startswith(file, "test_") && endswith(file, ".jl")
]

@testset "ReLUOpt" begin
    @testset "$file" for file in (isempty(ARGS) ? FILES : ARGS)
        run_tests(include(joinpath(@__DIR__, file)))
    end
end
