"""
    QuadraticRelaxation

The [`PixelProgram`](@ref) that is left of an L2 problem when every unstable ReLU
is replaced by its [`Triangle`](@ref). JuMP builds it; the matrices are read from
the model. `neuron[k][i]` holds the columns of `x` and `s` and the row of
`a = x - s` of an unstable neuron, or `nothing` for a stable one.
"""
struct QuadraticRelaxation
    program::PixelProgram
    neuron::Vector{Vector{Union{Nothing,NamedTuple{(:x, :s, :row),NTuple{3,Int}}}}}
    bounds::PreActivationBounds
end

function QuadraticRelaxation(
    problem::PerturbationProblem{L2},
    bounds::PreActivationBounds,
)
    model = JuMP.Model()
    JuMP.set_string_names_on_creation(model, false)
    change = add_change!(model, L2(), problem.image, problem.box, Triangle())
    net = add_network!(
        model,
        lowered(problem.network),
        change.input;
        bounds,
        formulation = Triangle(),
    )
    add_conditions!(model, problem.conditions, net.output)
    data = JuMP.lp_matrix_data(model)
    n = length(problem.image)
    # Every row is an equation or has one finite side; >= rows get the sign -1
    # (their slack is subtracted) and <= rows the sign 1.
    equal = data.b_lower .== data.b_upper
    below = isfinite.(data.b_lower)
    row_sign = ifelse.(equal, 0, ifelse.(below, -1, 1))
    A = Matrix(data.A)
    pixel_rows = [r for r in axes(A, 1) if any(!iszero, view(A, r, 1:n))]
    program = PixelProgram(;
        problem.image,
        pixel_rows,
        pixels = A[pixel_rows, 1:n],
        others = A[:, (n+1):end],
        rhs = ifelse.(below, data.b_lower, data.b_upper),
        row_sign,
        lower = data.x_lower,
        upper = data.x_upper,
    )
    return QuadraticRelaxation(program, _neuron_columns(net, data), bounds)
end

function _neuron_columns(net::NetworkFormulation, data)
    column = Dict(v => j for (j, v) in enumerate(data.variables))
    row = Dict(c => r for (r, c) in enumerate(data.affine_constraints))
    # Unstable neurons have the variables x and s and the rows a = x - s and
    # triangle, in this order; stable active ones have x and x = a.
    next_row = 1
    return map(eachindex(net.x)) do k
        return map(eachindex(net.x[k])) do i
            l, u = net.bounds.lower[k][i], net.bounds.upper[k][i]
            u <= 0 && return nothing
            defining = row[net.constraints[next_row]]
            next_row += l >= 0 ? 1 : 2
            l >= 0 && return nothing
            _, x = only(JuMP.linear_terms(net.x[k][i]))
            _, s = only(JuMP.linear_terms(net.s[k][i]))
            return (x = column[x], s = column[s], row = defining)
        end
    end
end
