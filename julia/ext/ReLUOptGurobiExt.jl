module ReLUOptGurobiExt

import Gurobi
import ReLUOpt

# One environment for all models: each new one would take another licence token.
const ENVIRONMENT = Ref{Union{Nothing,Gurobi.Env}}(nothing)

function ReLUOpt.extension_optimizer(::Val{:gurobi})
    if ENVIRONMENT[] === nothing
        ENVIRONMENT[] = Gurobi.Env()
    end
    environment = ENVIRONMENT[]::Gurobi.Env
    return () -> Gurobi.Optimizer(environment)
end

end # module ReLUOptGurobiExt
