"""
    SolveStatus

How a solve ended, with the same names as in the Python package:

 * `SolveStatus.OPTIMAL`: the gap is at most the one asked for, and the checked
   network agrees.
 * `SolveStatus.FEASIBLE`: an image that passed the check, but the proof is not
   finished.
 * `SolveStatus.INFEASIBLE`: proven that no input in the box meets the
   conditions.
 * `SolveStatus.TIME_LIMIT`: a limit was reached before any image was found; the
   bound is still valid.
 * `SolveStatus.NUMERICAL`: the solver claims an answer that the check refused,
   or failed.
"""
baremodule SolveStatus
using Base: @enum
@enum(Code, OPTIMAL, FEASIBLE, INFEASIBLE, TIME_LIMIT, NUMERICAL)
end

"""
    Verdict

What `verify` has proven and checked:

 * `Verdict.ROBUST`: the logit of the label is strictly larger than every other one
   throughout the region.
 * `Verdict.NOT_ROBUST`: it is not at an input of the region that passed the check; a
   tie counts against robustness.
 * `Verdict.UNDECIDED`: neither; the bound is still valid.
"""
baremodule Verdict
using Base: @enum
@enum(Code, ROBUST, NOT_ROBUST, UNDECIDED)
end

"""Smallest denominator of a relative gap; below it an objective counts as 0 (a
change of 1e-6 grey levels is far below what an 8-bit image can hold)."""
const GAP_DENOMINATOR_FLOOR = 1e-6

"""How much a condition may be violated, relative to `max(1, |logits|)`. A
Float64 forward pass is good to about 1e-12 and solvers keep rows to 1e-6 to
1e-9; [`STRICT_GAP`](@ref) stays two orders above."""
const CONDITION_TOLERANCE = 1e-6

"""What solvers' tolerances and rounding may change in logits of this size."""
function logit_tolerance(logits::AbstractVector{<:Real})
    return CONDITION_TOLERANCE * max(1.0, maximum(abs, logits))
end

"""How far a pixel may leave its box. Answers are clipped to the box, so this is
rounding only."""
const BOX_TOLERANCE = 1e-9

"""
    relative_gap(objective, bound)

MIP gap ``|objective - bound| / \\max(|objective|, 10^{-6})``; infinite without
either.
"""
function relative_gap(objective::Real, bound::Real)
    if !(isfinite(objective) && isfinite(bound))
        return Inf
    end
    return abs(objective - bound) / max(abs(objective), GAP_DENOMINATOR_FLOOR)
end

"""
    Certificate

What a `Float64` forward pass of the real network says about an image:
`certified` (whether every check passed), `failures` (one sentence for each that
did not), `predicted` (the label the network gives), `objective` (recomputed),
`margin` (smallest slack of the conditions), `lead` (logit of the target minus
the largest other logit), `box_violation` and `logits`.
"""
struct Certificate
    certified::Bool
    failures::Vector{String}
    predicted::Int
    objective::Float64
    margin::Float64
    lead::Float64
    box_violation::Float64
    logits::Vector{Float64}
end

"""
    check(problem, x0)

Run the real network on `x0` and check everything that the
[`PerturbationProblem`](@ref) asks for; returns a [`Certificate`](@ref).
"""
function check end

"""
    PerturbationResult(; status, kwargs...)

The checked answer of [`minimal_perturbation`](@ref).

 * `status`: a [`SolveStatus`](@ref), which tells what was *proven and checked*.
 * `termination_status`: a `MOI.TerminationStatusCode`, why the search ended.
 * `objective`: recomputed from `image` (`Inf` without one).
 * `bound`: proven lower bound on the optimal objective; `gap` is the
   [`relative_gap`](@ref) of the two.
 * `image`: the changed image, or `nothing`; `certificate` is its check.
 * `nodes`: branch-and-bound nodes.
 * `build_seconds`, `search_seconds`: wall-clock time spent on bounds and model,
   and in the solver.
 * `variables`, `constraints`, `binaries`: size of the program.
 * `message`: one line in words when something needs saying.
"""
Base.@kwdef struct PerturbationResult
    status::SolveStatus.Code
    termination_status::MOI.TerminationStatusCode
    objective::Float64 = Inf
    bound::Float64
    gap::Float64 = Inf
    image::Union{Nothing,Vector{Float64}} = nothing
    certificate::Union{Nothing,Certificate} = nothing
    nodes::Int = 0
    build_seconds::Float64 = 0.0
    search_seconds::Float64 = 0.0
    variables::Int = 0
    constraints::Int = 0
    binaries::Int = 0
    message::String = ""
end

function Base.show(io::IO, result::PerturbationResult)
    print(
        io,
        "PerturbationResult(",
        Symbol(result.status),
        ", objective = ",
        result.objective,
        ", bound = ",
        result.bound,
        ")",
    )
    return
end

function Base.show(io::IO, ::MIME"text/plain", result::PerturbationResult)
    println(io, "PerturbationResult: ", Symbol(result.status), " (", result.termination_status, ")")
    println(io, "  objective  ", result.objective)
    println(io, "  bound      ", result.bound)
    println(io, "  gap        ", result.gap)
    if result.certificate !== nothing
        println(io, "  predicted  ", result.certificate.predicted)
        println(io, "  certified  ", result.certificate.certified)
    end
    print(io, "  nodes      ", result.nodes)
    isempty(result.message) || print(io, "\n  ", result.message)
    return
end

"""
    LogitResult(; status, label, kwargs...)

The answer of [`classify`](@ref) and [`optimal_input`](@ref): `status` (a
[`SolveStatus`](@ref)), `termination_status` (a `MOI.TerminationStatusCode`, why
the search ended), `label` (for [`classify`](@ref), the label of the largest logit
of the program), `input`, `objective` (the logit of `label`), `bound`, `gap`,
`program_logits` (as the program computed them), `network_logits` (the forward
pass), `error` (their largest difference), `nodes`, `build_seconds`,
`search_seconds`, `variables`, `constraints`, `binaries` and `message`.
"""
Base.@kwdef struct LogitResult
    status::SolveStatus.Code
    termination_status::MOI.TerminationStatusCode
    label::Int
    input::Union{Nothing,Vector{Float64}} = nothing
    objective::Float64 = -Inf
    bound::Float64
    gap::Float64 = Inf
    program_logits::Vector{Float64} = Float64[]
    network_logits::Vector{Float64} = Float64[]
    error::Float64 = Inf
    nodes::Int = 0
    build_seconds::Float64 = 0.0
    search_seconds::Float64 = 0.0
    variables::Int = 0
    constraints::Int = 0
    binaries::Int = 0
    message::String = ""
end

function Base.show(io::IO, result::LogitResult)
    print(
        io,
        "LogitResult(",
        Symbol(result.status),
        ", objective = ",
        result.objective,
        ", bound = ",
        result.bound,
        ")",
    )
    return
end

function Base.show(io::IO, ::MIME"text/plain", result::LogitResult)
    println(io, "LogitResult: ", Symbol(result.status), " (", result.termination_status, ")")
    println(io, "  label      ", result.label)
    println(io, "  objective  ", result.objective)
    println(io, "  bound      ", result.bound)
    print(io, "  error      ", result.error)
    isempty(result.message) || print(io, "\n  ", result.message)
    return
end

"""
    RegionResult(; status, kwargs...)

The checked answer of a question about the inputs of an [`InputRegion`](@ref).
[`VerificationResult`](@ref) is that of [`verify`](@ref), whose `status` is a
[`Verdict`](@ref), [`WorstCaseResult`](@ref) that of [`worst_case`](@ref), whose
`status` is a [`SolveStatus`](@ref).

 * `termination_status`: a `MOI.TerminationStatusCode`, why the last program ended;
   `OPTIMIZE_NOT_CALLED` where none was needed.
 * `image`: the best input found, or `nothing`; `certificate` is its check, and
   `target` the label by which it is wrong (-1 without one).
 * `objective`: recomputed from `image` (`-Inf` without one).
 * `bound`: proven upper bound on the objective over the region; `gap` is the
   [`relative_gap`](@ref) of the two.
 * `nodes`: branch-and-bound nodes.
 * `build_seconds`, `search_seconds`: wall-clock time spent on ascent, bounds and
   models, and in the solver.
 * `variables`, `constraints`, `binaries`: size of the largest program.
 * `message`: one line in words when something needs saying.
"""
Base.@kwdef struct RegionResult{S}
    status::S
    termination_status::MOI.TerminationStatusCode
    objective::Float64 = -Inf
    bound::Float64
    gap::Float64 = Inf
    image::Union{Nothing,Vector{Float64}} = nothing
    target::Int = -1
    certificate::Union{Nothing,Certificate} = nothing
    nodes::Int = 0
    build_seconds::Float64 = 0.0
    search_seconds::Float64 = 0.0
    variables::Int = 0
    constraints::Int = 0
    binaries::Int = 0
    message::String = ""
end

"""
    VerificationResult

The answer of [`verify`](@ref), a [`RegionResult`](@ref): its `objective` is
``\\max_t x_t - x_d`` at `image`, nonnegative for a witness.
"""
const VerificationResult = RegionResult{Verdict.Code}

"""
    WorstCaseResult

The answer of [`worst_case`](@ref), a [`RegionResult`](@ref).
"""
const WorstCaseResult = RegionResult{SolveStatus.Code}

_shown_name(::VerificationResult) = "VerificationResult"
_shown_name(::WorstCaseResult) = "WorstCaseResult"

function Base.show(io::IO, result::RegionResult)
    print(
        io,
        _shown_name(result),
        "(",
        Symbol(result.status),
        ", objective = ",
        result.objective,
        ", bound = ",
        result.bound,
        ")",
    )
    return
end

function Base.show(io::IO, ::MIME"text/plain", result::RegionResult)
    println(io, _shown_name(result), ": ", Symbol(result.status), " (", result.termination_status, ")")
    println(io, "  objective  ", result.objective)
    println(io, "  bound      ", result.bound)
    if result.certificate !== nothing
        println(io, "  predicted  ", result.certificate.predicted)
        println(io, "  certified  ", result.certificate.certified)
    end
    print(io, "  nodes      ", result.nodes)
    isempty(result.message) || print(io, "\n  ", result.message)
    return
end

"""
    UniversalResult

The checked answer of [`universal_perturbation`](@ref): `change` and the changed `images`
(`nothing` and none if none was found), `certificates` with one check for each image, and
`status`, `termination_status`, `objective`, `bound`, `gap`, `nodes`, `build_seconds`,
`search_seconds`, `variables`, `constraints`, `binaries` and `message` as in a
[`PerturbationResult`](@ref).
"""
struct UniversalResult
    change::Union{Nothing,Vector{Float64}}
    images::Vector{Vector{Float64}}
    certificates::Vector{Certificate}
    solved::PerturbationResult
end

const UNIVERSAL_FIELDS = (
    :status,
    :termination_status,
    :objective,
    :bound,
    :gap,
    :nodes,
    :build_seconds,
    :search_seconds,
    :variables,
    :constraints,
    :binaries,
    :message,
)

function Base.getproperty(result::UniversalResult, name::Symbol)
    name in UNIVERSAL_FIELDS && return getproperty(getfield(result, :solved), name)
    return getfield(result, name)
end

function Base.propertynames(::UniversalResult, private::Bool = false)
    own = (:change, :images, :certificates, UNIVERSAL_FIELDS...)
    return private ? (own..., :solved) : own
end

function Base.show(io::IO, result::UniversalResult)
    print(
        io,
        "UniversalResult(",
        Symbol(result.status),
        ", objective = ",
        result.objective,
        ", bound = ",
        result.bound,
        ")",
    )
    return
end
