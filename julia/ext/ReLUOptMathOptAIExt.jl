module ReLUOptMathOptAIExt

import JuMP
import MathOptAI
import ReLUOpt

"""
    NetworkPredictor(network, formulation, bounds)

A [`ReLUOpt.ReLUNetwork`](@ref) as a predictor of MathOptAI, made by
`MathOptAI.build_predictor`.
"""
struct NetworkPredictor{F<:ReLUOpt.AbstractFormulation} <: MathOptAI.AbstractPredictor
    network::ReLUOpt.ReLUNetwork
    formulation::F
    bounds::Union{Nothing,ReLUOpt.PreActivationBounds}
end

function Base.show(io::IO, predictor::NetworkPredictor)
    return print(io, predictor.network, " by ", predictor.formulation)
end

function MathOptAI.output_size(predictor::NetworkPredictor, input_size)
    return (ReLUOpt.output_size(predictor.network),)
end

"""
    MathOptAI.build_predictor(
        network::ReLUOpt.ReLUNetwork;
        formulation = ReLUOpt.BigM(),
        bounds = nothing,
    )

The network as a predictor that [`ReLUOpt.add_network!`](@ref) adds: its keywords
have the same meaning there.
"""
function MathOptAI.build_predictor(
    network::ReLUOpt.ReLUNetwork;
    formulation::ReLUOpt.AbstractFormulation = ReLUOpt.BigM(),
    bounds::Union{Nothing,ReLUOpt.PreActivationBounds} = nothing,
)
    return NetworkPredictor(network, formulation, bounds)
end

"""
    MathOptAI.add_predictor(
        model::JuMP.GenericModel,
        network::ReLUOpt.ReLUNetwork,
        x::Array;
        reduced_space = false,
        formulation = ReLUOpt.BigM(),
        bounds = nothing,
    )

As [`ReLUOpt.add_network!`](@ref), which `x` must suit: `y` are the logits. A
matrix of pixels is read row by row, as everywhere in ReLUOpt. The logits are
affine expressions with and without `reduced_space`.
"""
function MathOptAI.add_predictor(
    model::JuMP.GenericModel,
    network::ReLUOpt.ReLUNetwork,
    x::Vector;
    reduced_space::Bool = false,
    kwargs...,
)
    predictor = MathOptAI.build_predictor(network; kwargs...)
    return MathOptAI.add_predictor(model, predictor, x; reduced_space)
end

# Without this method, MathOptAI would read arrays column by column.
function MathOptAI.add_predictor(
    model::JuMP.GenericModel,
    network::ReLUOpt.ReLUNetwork,
    x::Array;
    kwargs...,
)
    return MathOptAI.add_predictor(model, network, ReLUOpt.row_major(x); kwargs...)
end

function MathOptAI.add_predictor(
    model::JuMP.GenericModel,
    predictor::NetworkPredictor,
    x::Vector;
    reduced_space::Bool = false,
)
    added = ReLUOpt.add_network!(
        model,
        predictor.network,
        x;
        predictor.formulation,
        predictor.bounds,
    )
    chosen = reduced_space ? MathOptAI.ReducedSpace(predictor) : predictor
    formulation = MathOptAI.Formulation(chosen, added.variables, added.constraints)
    return added.output, formulation
end

function MathOptAI.add_predictor(
    model::JuMP.GenericModel,
    predictor::MathOptAI.ReducedSpace{<:NetworkPredictor},
    x::Vector,
)
    return MathOptAI.add_predictor(
        model,
        predictor.predictor,
        x;
        reduced_space = true,
    )
end

end # module ReLUOptMathOptAIExt
