"""
    ReLUOpt

Trained ReLU networks inside JuMP models, and proven answers to two questions
about them: which input makes a logit as large as possible
([`optimal_input`](@ref)), and which image nearest to a given one is classified
as something else ([`minimal_perturbation`](@ref))?

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

export AbsoluteMargin,
    BallBounds,
    BareRelativeMargin,
    BigM,
    Box,
    Dense,
    Indicator,
    InputError,
    InputRegion,
    IntervalBounds,
    LinearBounds,
    LogitConditions,
    NetworkMetadata,
    OptimizationBounds,
    PreActivationBounds,
    ReLUNetwork,
    RelativeMargin,
    SolveStatus,
    ThesisBigM,
    Triangle,
    activation_pattern,
    add_network!,
    classify,
    find_incumbent,
    flat_image,
    forward,
    load_network,
    minimal_perturbation,
    optimal_input,
    pre_activation_bounds,
    pre_activations,
    predict,
    save_network,
    set_start_values!,
    unstable_count

include("errors.jl")
include("network.jl")
include("weights.jl")
include("margins.jl")
include("regions.jl")
include("bounds.jl")
include("formulations.jl")
include("relu.jl")
include("results.jl")
include("optimizers.jl")
include("obbt.jl")
include("problems.jl")
include("change.jl")
include("pixel_program.jl")
include("incumbents.jl")
include("minimal_perturbation.jl")
include("relaxation.jl")
include("phase_search.jl")
include("logits.jl")
include("files.jl")
include("flux_interface.jl")
include("precompile.jl")

end # module ReLUOpt
