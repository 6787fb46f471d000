module ReLUOptGurobiExt

import Gurobi
import ReLUOpt

function ReLUOpt.solver_settings(
    ::Gurobi.Optimizer,
    options::ReLUOpt.SearchOptions,
)
    return Pair{String,Any}[
        "Seed" => options.seed,
        "FeasibilityTol" => ReLUOpt.TIGHT_TOLERANCE,
        "IntFeasTol" => ReLUOpt.TIGHT_TOLERANCE,
        "MIPGapAbs" => 0.0,
    ]
end

function ReLUOpt.tolerance_names(::Gurobi.Optimizer)
    return ["FeasibilityTol", "IntFeasTol", "OptimalityTol"]
end

# Gurobi's integer quadratic programming is a match for the phase search.
ReLUOpt.proves_quadratic(::Gurobi.Optimizer) = true

end # module ReLUOptGurobiExt
