# Networks and brute force for the tests.

import HiGHS
import JuMP
import Random

using ReLUOpt

# Too common to be exported.
using ReLUOpt:
    AutomaticSearch,
    AveragePool2d,
    BallBounds,
    BareRelativeMargin,
    BigM,
    Box,
    Chain,
    Conv2d,
    Dense,
    Indicator,
    InputError,
    InputRegion,
    IntervalBounds,
    LeakyReLU,
    LinearBounds,
    MaxPool2d,
    NetworkMetadata,
    OptimizationBounds,
    Partition,
    Permute,
    PhaseSearch,
    PreActivationBounds,
    ProgramSearch,
    Scale,
    SolveStatus,
    ThesisBigM,
    Triangle,
    UnsupportedProblemError,
    Windows,
    activation_pattern,
    equal_range,
    equal_size,
    find_incumbent,
    flat_image,
    forward,
    pre_activation_bounds,
    pre_activations,
    predict,
    unstable_count

"""``y = \\max(5 x_1 - 4 x_2 + 3, 0)``, ``z = \\max(-2 y + 50, 0)``: the two-node
example of the lecture literature, with `z` as the output of a last layer."""
function lecture_network()
    return ReLUNetwork([
        Dense([5.0 -4.0], [3.0]),
        Dense(fill(-2.0, 1, 1), [50.0]),
        Dense(fill(1.0, 1, 1), [0.0]),
    ])
end

const LECTURE_BOX = Box([-10.0, -5.0], [10.0, 5.0])

"""A network with random weights of scale `2 / sqrt(n_in)` whose logits are zero
in the middle of the unit box, so that many labels can be reached."""
function random_network(seed::Int, sizes::Int...)
    rng = Random.MersenneTwister(seed)
    layers = [
        Dense(
            2 .* randn(rng, sizes[k+1], sizes[k]) ./ sqrt(sizes[k]),
            0.2 .* randn(rng, sizes[k+1]),
        ) for k in 1:(length(sizes)-1)
    ]
    middle = forward(ReLUNetwork(layers), fill(0.5, sizes[1]))
    layers[end] = Dense(layers[end].weight, layers[end].bias - middle)
    return ReLUNetwork(layers)
end

function random_inputs(seed::Int, n::Int, count::Int)
    rng = Random.MersenneTwister(seed)
    return [rand(rng, n) for _ in 1:count]
end

"""Every activation pattern of a network (for tiny ones)."""
function all_patterns(network::ReLUNetwork)
    sizes = [length(layer.bias) for layer in network.layers[1:end-1]]
    return map(0:(2^sum(sizes)-1)) do code
        bits = BitVector(digits(Bool, code; base = 2, pad = sum(sizes)))
        ends = cumsum(sizes)
        return [bits[(e-n+1):e] for (e, n) in zip(ends, sizes)]
    end
end

"""The optimum over all linear regions one by one, or `Inf`."""
function brute_force(problem)
    best = Inf
    for pattern in all_patterns(problem.network)
        x0 = ReLUOpt.solve_region(problem, pattern)
        x0 === nothing && continue
        best = min(best, ReLUOpt.objective_of(problem, x0))
    end
    return best
end

"""``\\max_t x_t - x_d`` over a region (L1, LInf), over all linear regions one by one."""
function brute_force_slack(network, region, label)
    best = -Inf
    for pattern in all_patterns(network)
        maps = ReLUOpt.region_map(network, pattern)
        model = silent_model()
        x0 = ReLUOpt.add_region!(model, region, BigM()).input
        for (active, (G, h)) in zip(pattern, maps), i in eachindex(h)
            JuMP.@constraint(model, (active[i] ? 1 : -1) * (G[i, :]' * x0 + h[i]) >= 0)
        end
        G, h = maps[end]
        for t in filter(!=(label + 1), eachindex(h))
            row, constant = G[t, :] - G[label+1, :], h[t] - h[label+1]
            JuMP.@objective(model, Max, row' * x0 + constant)
            JuMP.optimize!(model)
            JuMP.is_solved_and_feasible(model) || continue
            best = max(best, JuMP.objective_value(model))
        end
    end
    return best
end

"""A label that the network can be brought to answer within the unit box."""
function reachable_target(network, image; margin = RelativeMargin(0.2))
    labels = filter(!=(predict(network, image)), 0:(length(network.layers[end].bias)-1))
    return first(
        Iterators.filter(labels) do target
            problem = ReLUOpt.PerturbationProblem(network, image, target; margin)
            return find_incumbent(problem) !== nothing
        end,
    )
end

function silent_model()
    model = JuMP.Model(HiGHS.Optimizer)
    JuMP.set_silent(model)
    return model
end

"""The one line of the error that `f` ends with, or nothing."""
function refusal(f)
    try
        f()
    catch err
        err isa ReLUOpt.REFUSALS || rethrow()
        return ReLUOpt.message_of(err)
    end
    return ""
end
