"""One small language for the models of all packages: variables, a row, an objective, an optimum."""

from __future__ import annotations

import pytest


class GurobiModel:
    name = "gurobipy"
    indicators = True

    def __init__(self):
        self.package = pytest.importorskip("gurobipy")
        env = self.package.Env(params={"OutputFlag": 0})
        self.model = self.package.Model(env=env)
        self.model.Params.FeasibilityTol = self.model.Params.IntFeasTol = 1e-9

    def variable(self, low, up, name):
        return self.model.addVar(low, up, name=name)

    def add(self, constraint):
        self.model.addConstr(constraint)

    def maximise(self, expression):
        self.model.setObjective(expression, self.package.GRB.MAXIMIZE)
        self.model.optimize()
        assert self.model.Status == self.package.GRB.OPTIMAL
        return self.model.ObjVal

    def value(self, variable):
        return variable.X

    def sizes(self):
        self.model.update()
        return self.model.NumVars, self.model.NumConstrs + self.model.NumGenConstrs


class HighsModel:
    name = "highspy"
    indicators = False

    def __init__(self):
        self.package = pytest.importorskip("highspy")
        self.model = self.package.Highs()
        self.model.silent()
        for tolerance in ("primal", "mip"):
            self.model.setOptionValue(f"{tolerance}_feasibility_tolerance", 1e-9)

    def variable(self, low, up, name):
        return self.model.addVariable(low, up, name=name)

    def add(self, constraint):
        self.model.addConstr(constraint)

    def maximise(self, expression):
        self.model.maximize(expression)
        assert self.model.getModelStatus() == self.package.HighsModelStatus.kOptimal
        return self.model.getInfo().objective_function_value

    def value(self, variable):
        return self.model.val(variable)

    def sizes(self):
        return self.model.numVariables, self.model.numConstrs


class ScipModel:
    name = "pyscipopt"
    indicators = True

    def __init__(self):
        self.package = pytest.importorskip("pyscipopt")
        self.model = self.package.Model()
        self.model.hideOutput()
        self.model.setParam("numerics/feastol", 1e-9)

    def variable(self, low, up, name):
        return self.model.addVar(name, lb=low, ub=up)

    def add(self, constraint):
        self.model.addCons(constraint)

    def maximise(self, expression):
        self.model.freeTransform()
        self.model.setObjective(expression, "maximize")
        self.model.optimize()
        assert self.model.getStatus() == "optimal"
        return self.model.getObjVal()

    def value(self, variable):
        return self.model.getVal(variable)

    def sizes(self):
        self.model.freeTransform()
        return len(self.model.getVars()), len(self.model.getConss())


class PyomoModel:
    name = "pyomo"
    indicators = False

    def __init__(self):
        self.package = pytest.importorskip("pyomo.environ")
        self.model = self.package.ConcreteModel()
        self.solver = self.package.SolverFactory("appsi_highs")
        self.solver.highs_options = {
            f"{tolerance}_feasibility_tolerance": 1e-9 for tolerance in ("primal", "mip")
        }

    def variable(self, low, up, name):
        variable = self.package.Var(bounds=(low, up))
        self.model.add_component(name, variable)
        return variable

    def add(self, constraint):
        name = self.package.Constraint(expr=constraint)
        self.model.add_component(f"row{len(self.model._decl)}", name)

    def maximise(self, expression):
        self.model.del_component("goal")
        self.model.goal = self.package.Objective(expr=expression, sense=self.package.maximize)
        condition = self.solver.solve(self.model).solver.termination_condition
        assert condition == self.package.TerminationCondition.optimal
        return self.package.value(self.model.goal)

    def value(self, variable):
        # What stands in no row gets no value; any will do.
        return variable.lb if variable.value is None else variable.value

    def sizes(self):
        kinds = self.package.Var, self.package.Constraint
        return tuple(len(list(self.model.component_data_objects(kind))) for kind in kinds)


MODELS = {each.name: each for each in (GurobiModel, HighsModel, ScipModel, PyomoModel)}
