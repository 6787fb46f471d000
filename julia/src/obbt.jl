"""
    OptimizationBounds(; integral = false, optimizer = HiGHS.Optimizer,
                       time_limit = 1.0, threads = 1)

Optimisation-based bound tightening (OBBT): every pre-activation is minimised
and maximised over the program of the layers before it, whose own bounds were
tightened first. `integral = false` solves the linear relaxation, `true` the
mixed-integer program; `time_limit` holds for one of the two solves of a neuron,
in seconds. A solver that stops on it gives its *dual bound*, never the value
of its best solution. Never worse than [`LinearBounds`](@ref).

The solves of a layer are shared among `threads` tasks (start Julia with as many
threads). Inputs are limited to the box of the region and, for an L1 or LInf
ball, to the ball; an L2 ball is replaced by the box around it.
"""
Base.@kwdef struct OptimizationBounds{O} <: AbstractBoundingMethod
    integral::Bool = false
    optimizer::O = HiGHS.Optimizer
    time_limit::Float64 = 1.0
    threads::Int = 1
end

function pre_activation_bounds(
    method::OptimizationBounds,
    network::ReLUNetwork,
    region::InputRegion,
)
    start = pre_activation_bounds(LinearBounds(), network, region)
    lowers, uppers = deepcopy(start.lower), deepcopy(start.upper)
    # The first layer is exact already.
    for k in 2:length(network.affine_layers)
        # Tighter bounds before this layer give it tighter intervals.
        low, high = _interval_step(network.affine_layers[k], lowers[k-1], uppers[k-1])
        lowers[k] = max.(lowers[k], low)
        uppers[k] = min.(uppers[k], high)
        known = PreActivationBounds(lowers[1:k], uppers[1:k])
        part = ReLUNetwork(network.affine_layers[1:k])
        neurons = collect(eachindex(lowers[k]))
        size = cld(length(neurons), max(method.threads, 1))
        tasks = map(Iterators.partition(neurons, size)) do chunk
            return Threads.@spawn _tightened(method, part, known, region, chunk)
        end
        for task in tasks, (i, low, high) in fetch(task)
            lowers[k][i] = max(lowers[k][i], low)
            uppers[k][i] = min(uppers[k][i], high)
        end
    end
    return PreActivationBounds(lowers, uppers)
end

"""`(i, lower, upper)` of the outputs `neurons` of a network."""
function _tightened(
    method::OptimizationBounds,
    network::ReLUNetwork,
    bounds::PreActivationBounds,
    region::InputRegion,
    neurons,
)
    options = SearchOptions(; method.time_limit)
    instance = configured_optimizer(method.optimizer, options)
    method.integral && check_integers(instance)
    model = solver_model(instance)
    input = add_region!(model, _linear_region(region), BigM()).input
    formulation = method.integral ? BigM() : Triangle()
    net = add_network!(model, network, input; bounds, formulation)
    return map(neurons) do i
        low, high = bounds.lower[end][i], bounds.upper[end][i]
        for sense in (MOI.MIN_SENSE, MOI.MAX_SENSE)
            JuMP.@objective(model, sense, net.output[i])
            JuMP.optimize!(model)
            bound = proven_bound(model)
            bound === nothing && continue
            sense == MOI.MIN_SENSE && (low = max(low, bound))
            sense == MOI.MAX_SENSE && (high = min(high, bound))
        end
        return i, low, high
    end
end

"""A region that linear rows describe: an L2 ball becomes the box around it."""
_linear_region(region::InputRegion) = region

function _linear_region(region::InputRegion{L2})
    return InputRegion(region.box, LInf(), region.center, region.radius)
end
