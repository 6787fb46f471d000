"""
    AbstractFormulation

How a ReLU becomes linear constraints. A formulation is a type, and
`add_relu!` is the function to extend for another one:
[`BigM`](@ref), [`Indicator`](@ref), [`ThesisBigM`](@ref),
[`Triangle`](@ref).
"""
abstract type AbstractFormulation end

"""
    BigM()

The program of Grimstad & Andersson (2019), with ``L \\le a \\le U`` known for
every neuron:

```math
a = x - s, \\qquad 0 \\le x \\le U z, \\qquad 0 \\le s \\le -L (1 - z), \\qquad z \\in \\{0, 1\\}
```

Stable neurons (``L \\ge 0`` or ``U \\le 0``) get no binary variable.
"""
struct BigM <: AbstractFormulation end

"""
    Indicator()

As [`BigM`](@ref), with indicator constraints in place of the products:
``z = 0 \\Rightarrow x \\le 0`` and ``z = 1 \\Rightarrow s \\le 0``.
"""
struct Indicator <: AbstractFormulation end

"""
    Triangle()

The linear relaxation of [`BigM`](@ref) without its binary variable:
``a = x - s``, ``x, s \\ge 0`` and ``-L x + U s \\le -L U``, divided by ``U - L``.
"""
struct Triangle <: AbstractFormulation end

"""
    ThesisBigM(big_m = 1000)

The baseline of Linkola (2023): the bounds ``-M`` and ``M`` for every neuron, a
binary variable for every neuron, and the triple ``(x, s, z)`` for the output
layer too, whose ``s`` is fixed to 0 and ``z`` to 1, so that ``x`` is the logit.
"""
struct ThesisBigM <: AbstractFormulation
    big_m::Float64

    function ThesisBigM(big_m::Real = 1000)
        if !(isfinite(big_m) && big_m > 0)
            throw(ArgumentError("big_m: expected a number > 0, found $big_m"))
        end
        return new(big_m)
    end
end

"""
    is_exact(formulation)

Whether the solutions of a formulation are those of the network; `false` for a
relaxation, whose optimum is a bound only.
"""
is_exact(::AbstractFormulation) = true
is_exact(::Triangle) = false

"""Affine expressions over the variables of a model with numbers of type `T`."""
const Affine{T} = JuMP.GenericAffExpr{T,JuMP.GenericVariableRef{T}}
