"""
    ChangeVariables

The changed image as expressions in a model: `input` (one for each pixel), the
`objective` to minimise, and `starts(x0)`, the start values of `variables` at
the input `x0`.
"""
struct ChangeVariables
    input::Vector{JuMP.AffExpr}
    objective::Any
    variables::Vector{JuMP.VariableRef}
    starts::Function
end

"""
    add_change!(model, norm, image, box, formulation)

Add the variables of a changed image; returns [`ChangeVariables`](@ref).

 * L1: ``x^0 = image + p - n`` with ``p, n \\ge 0`` inside the box, minimise
   ``\\sum (p + n)``. Under [`ThesisBigM`](@ref), as in the thesis,
   ``\\delta_i \\ge \\pm (x^0_i - image_i)``, minimise ``\\sum \\delta_i``.
 * L2: minimise ``\\sum (x^0_i - image_i)^2``.
 * LInf: ``t \\ge \\pm (x^0_i - image_i)``, minimise ``t``.
"""
function add_change!(
    model::JuMP.Model,
    ::L1,
    image::Vector{Float64},
    box::Box,
    ::AbstractFormulation,
)
    variables, sources = JuMP.VariableRef[], Tuple{Int,Int}[]
    input = JuMP.AffExpr.(image)
    for i in eachindex(image)
        rooms = (1 => box.upper[i] - image[i], -1 => image[i] - box.lower[i])
        for (sign, room) in rooms
            room > 0 || continue
            v = JuMP.@variable(model, lower_bound = 0, upper_bound = room)
            JuMP.add_to_expression!(input[i], sign, v)
            push!(variables, v)
            push!(sources, (i, sign))
        end
    end
    objective = JuMP.@expression(model, sum(variables; init = JuMP.AffExpr(0.0)))
    starts(x0) = [max(sign * (x0[i] - image[i]), 0.0) for (i, sign) in sources]
    return ChangeVariables(input, objective, variables, starts)
end

function add_change!(
    model::JuMP.Model,
    ::L1,
    image::Vector{Float64},
    box::Box,
    ::ThesisBigM,
)
    x0 = _pixels!(model, box)
    n = length(image)
    delta = JuMP.@variable(
        model,
        [i in 1:n],
        lower_bound = 0,
        upper_bound = box.upper[i] - box.lower[i],
        base_name = "delta"
    )
    JuMP.@constraint(model, [i in 1:n], delta[i] >= x0[i] - image[i])
    JuMP.@constraint(model, [i in 1:n], delta[i] >= image[i] - x0[i])
    starts(values) = [values; abs.(values - image)]
    return ChangeVariables(1.0 .* x0, sum(delta), [x0; delta], starts)
end

function add_change!(
    model::JuMP.Model,
    ::L2,
    image::Vector{Float64},
    box::Box,
    ::AbstractFormulation,
)
    x0 = _pixels!(model, box)
    objective = JuMP.@expression(
        model,
        sum((x0[i] - image[i])^2 for i in eachindex(image))
    )
    return ChangeVariables(1.0 .* x0, objective, x0, identity)
end

function add_change!(
    model::JuMP.Model,
    ::LInf,
    image::Vector{Float64},
    box::Box,
    ::AbstractFormulation,
)
    x0 = _pixels!(model, box)
    t = JuMP.@variable(
        model,
        lower_bound = 0,
        upper_bound = maximum(box.upper - box.lower),
        base_name = "t"
    )
    n = length(image)
    JuMP.@constraint(model, [i in 1:n], t >= x0[i] - image[i])
    JuMP.@constraint(model, [i in 1:n], t >= image[i] - x0[i])
    starts(values) = [values; maximum(abs, values - image)]
    return ChangeVariables(1.0 .* x0, 1.0 * t, [x0; t], starts)
end

function _pixels!(model::JuMP.Model, box::Box)
    return JuMP.@variable(
        model,
        [i in eachindex(box.lower)],
        lower_bound = box.lower[i],
        upper_bound = box.upper[i],
        base_name = "x0"
    )
end

"""
    add_region!(model, region, formulation)

Add the variables of an input of an [`InputRegion`](@ref) and the rows of its ball: of
linear ones for L1, of bounds alone for LInf, of a quadratic one for L2. Returns
[`ChangeVariables`](@ref).
"""
function add_region!(
    model::JuMP.Model,
    region::InputRegion,
    formulation::AbstractFormulation,
)
    isfinite(region.radius) || return _box_variables!(model, region.box)
    change = add_change!(model, region.norm, region.center, region.box, formulation)
    limit = objective_of_length(region.norm, region.radius)
    JuMP.@constraint(model, change.objective <= limit)
    return change
end

function add_region!(
    model::JuMP.Model,
    region::InputRegion{LInf},
    ::AbstractFormulation,
)
    reach = region.radius
    around = Box(
        max.(region.box.lower, region.center .- reach),
        min.(region.box.upper, region.center .+ reach),
    )
    return _box_variables!(model, around)
end

function _box_variables!(model::JuMP.Model, box::Box)
    x0 = _pixels!(model, box)
    return ChangeVariables(1.0 .* x0, 0.0, x0, identity)
end

"""
    add_conditions!(model, conditions, output)

Require `conditions.matrix * output .>= conditions.rhs`.
"""
function add_conditions!(
    model::JuMP.Model,
    conditions::LogitConditions,
    output::Vector{JuMP.AffExpr},
)
    matrix, rhs = conditions.matrix, conditions.rhs
    return map(eachindex(rhs)) do r
        return JuMP.@constraint(model, linear_combination(matrix[r, :], output) >= rhs[r])
    end
end
