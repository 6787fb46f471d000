module ReLUOptSCIPExt

import ReLUOpt
import SCIP

function ReLUOpt.solver_settings(
    ::SCIP.Optimizer,
    options::ReLUOpt.SearchOptions,
)
    return Pair{String,Any}[
        "randomization/randomseedshift" => options.seed,
        "numerics/feastol" => ReLUOpt.TIGHT_TOLERANCE,
    ]
end

function ReLUOpt.tolerance_names(::SCIP.Optimizer)
    return ["numerics/feastol", "numerics/dualfeastol"]
end

end # module ReLUOptSCIPExt
