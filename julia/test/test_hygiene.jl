module TestHygiene

using ReLUOpt
using Test

function test_aqua()
    if Base.find_package("Aqua") === nothing
        @info "Aqua is not installed: skipping its checks"
        return
    end
    @eval import Aqua
    # The package's own tests run in environments without a registry too.
    @eval Aqua.test_all(ReLUOpt; persistent_tasks = false)
    return
end

function test_every_export_is_documented()
    for name in names(ReLUOpt)
        documented = haskey(Base.Docs.meta(ReLUOpt), Base.Docs.Binding(ReLUOpt, name))
        @test documented || name == :ReLUOpt
    end
    return
end

end # module TestHygiene

TestHygiene
