module ReLUOptSCIPExt

import ReLUOpt
import SCIP

ReLUOpt.extension_optimizer(::Val{:scip}) = SCIP.Optimizer

end # module ReLUOptSCIPExt
