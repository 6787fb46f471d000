module TestHygiene

using ReLUOpt
using Test

function test_aqua()
    if Base.find_package("Aqua") === nothing
        @info "Aqua is not installed here: skipping its checks"
        return
    end
    try
        @eval import Aqua
    catch
        # Aqua needs an active project; load paths without one have none.
        @info "Aqua does not load here: skipping its checks"
        return
    end
    @eval Aqua.test_all(ReLUOpt; persistent_tasks = false)
    return
end

function test_no_ambiguities()
    @test isempty(Test.detect_ambiguities(ReLUOpt; recursive = true))
    @test isempty(Test.detect_unbound_args(ReLUOpt; recursive = true))
    return
end

function test_every_export_is_documented()
    for name in names(ReLUOpt)
        # Modules keep their docstring in themselves.
        value = getfield(ReLUOpt, name)
        owner = value isa Module ? value : ReLUOpt
        @test haskey(Base.Docs.meta(owner), Base.Docs.Binding(ReLUOpt, name)) ||
              haskey(Base.Docs.meta(owner), Base.Docs.Binding(owner, name))
    end
    return
end

end # module TestHygiene

TestHygiene
