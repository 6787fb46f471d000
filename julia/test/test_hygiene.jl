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

function test_jet()
    if Base.find_package("JET") === nothing
        @info "JET is not installed here: skipping its checks"
        return
    end
    @eval import JET
    reports = @eval JET.get_reports(
        JET.report_package(
            ReLUOpt;
            target_modules = (ReLUOpt, ReLUOpt.QuadraticSearch),
            toplevel_logger = nothing,
        ),
    )
    foreach(report -> println(stderr, report), reports)
    @test isempty(reports)
    return
end

function test_every_public_name_is_documented()
    for name in [names(ReLUOpt); collect(ReLUOpt.PUBLIC)]
        # Modules keep their docstring in themselves.
        value = getfield(ReLUOpt, name)
        owner = value isa Module ? value : ReLUOpt
        @test haskey(Base.Docs.meta(owner), Base.Docs.Binding(ReLUOpt, name)) ||
              haskey(Base.Docs.meta(owner), Base.Docs.Binding(owner, name))
    end
    return
end

function test_names_that_others_export_are_not_exported()
    for name in (:Dense, :Box, :Indicator, :Triangle, :BigM, :forward, :predict, :check)
        @test !(name in names(ReLUOpt))
    end
    return
end

"""What the package does without: private fields, packages by name, other worlds."""
function test_no_back_doors()
    source = joinpath(@__DIR__, "..", "src")
    for (folder, _, files) in walkdir(source), file in files
        text = read(joinpath(folder, file), String)
        for word in ("unsafe_backend", "invokelatest", "Base.require", ".terms")
            @test !occursin(word, text)
        end
    end
    return
end

end # module TestHygiene

TestHygiene
