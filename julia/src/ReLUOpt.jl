"""
    ReLUOpt

Trained ReLU networks inside JuMP models, and proven answers to questions about them:
which image nearest to a given one is classified as something else
([`minimal_perturbation`](@ref)), and which change does so to several images
([`universal_perturbation`](@ref)); is everything around an image answered the same
([`verify`](@ref)), and how wrong can it get there ([`worst_case`](@ref)); which input
makes a logit as large as possible ([`optimal_input`](@ref))?

Sources: Fischetti & Jo (2018), Deep neural networks and mixed integer linear
optimization; Grimstad & Andersson (2019), ReLU networks as surrogate models in
mixed-integer linear programs; Linkola (2023).
"""
module ReLUOpt

import HiGHS
import JSON3
import JuMP
import LinearAlgebra
import PrecompileTools
import SafeTensors

import JuMP.MOI as MOI

using SparseArrays: SparseMatrixCSC, nonzeros, nzrange, rowvals, sparse

export AbsoluteMargin,
    LogitConditions,
    ReLUNetwork,
    RelativeMargin,
    add_network!,
    classify,
    load_network,
    minimal_perturbation,
    optimal_input,
    save_network,
    set_start_values!,
    universal_perturbation,
    verify,
    worst_case

# What users write as `ReLUOpt.name`: these names are too common to export.
const PUBLIC = (
    :AbstractFormulation,
    :AutomaticSearch,
    :AveragePool2d,
    :BallBounds,
    :BareRelativeMargin,
    :BigM,
    :Box,
    :Certificate,
    :Chain,
    :Conv2d,
    :Dense,
    :Indicator,
    :InputError,
    :InputRegion,
    :IntervalBounds,
    :Layer,
    :LeakyReLU,
    :LinearBounds,
    :LogitResult,
    :MaxPool2d,
    :NetworkFormulation,
    :NetworkMetadata,
    :OptimizationBounds,
    :PartCopy,
    :Partition,
    :Permute,
    :PerturbationResult,
    :PhaseSearch,
    :PreActivationBounds,
    :ProgramSearch,
    :QuadraticSearch,
    :RegionResult,
    :Scale,
    :SearchOptions,
    :SolveStatus,
    :ThesisBigM,
    :Triangle,
    :UniversalResult,
    :UnsupportedProblemError,
    :Verdict,
    :VerificationResult,
    :Windows,
    :WorstCaseResult,
    :activation_pattern,
    :add_choice!,
    :add_layer!,
    :add_unstable_relu!,
    :attack_file,
    :build,
    :configured_optimizer,
    :equal_range,
    :equal_size,
    :export_safetensors,
    :find_incumbent,
    :flat_image,
    :flux_chain,
    :forward,
    :is_exact,
    :kind,
    :lower,
    :lowered,
    :note!,
    :pre_activation_bounds,
    :pre_activations,
    :predict,
    :proves_quadratic,
    :read_tensors,
    :set_progress_callback!,
    :settings,
    :solver_settings,
    :supports_integer_quadratic,
    :tensor_names,
    :tensors,
    :tolerance_names,
    :unit_box,
    :unstable_count,
    :write_tensors,
)

# The keyword `public` came with Julia 1.11, and 1.10 cannot even parse it.
@static if VERSION >= v"1.11"
    eval(Expr(:public, PUBLIC...))
end

include("errors.jl")
include("layers/layer.jl")
include("layers/dense.jl")
include("network.jl")
include("margins.jl")
include("regions.jl")
include("bounds.jl")
include("formulations.jl")
include("expressions.jl")
include("add_network.jl")
include("solution_values.jl")
include("relu.jl")
include("partition.jl")
include("maximum.jl")
include("layers/windows.jl")
include("layers/conv2d.jl")
include("layers/average_pool2d.jl")
include("layers/max_pool2d.jl")
include("layers/scale.jl")
include("layers/leaky_relu.jl")
include("layers/permute.jl")
include("layers/chain.jl")
include("layers/entries.jl")
include("weights.jl")
include("results.jl")
include("optimizers.jl")
include("change.jl")
include("obbt.jl")
include("problems.jl")
include("universal_problems.jl")
include("searches.jl")
include("incumbents.jl")
include("minimal_perturbation.jl")
include("quadratic_search/QuadraticSearch.jl")
include("logits.jl")
include("region_problems.jl")
include("region_search.jl")
include("verification.jl")
include("worst_case.jl")
include("universal_perturbation.jl")
include("options_as_text.jl")
include("files.jl")
include("flux_interface.jl")
include("precompile.jl")

end # module ReLUOpt
