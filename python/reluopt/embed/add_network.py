"""``add_network``: the program of a network on variables of somebody's own model."""

from __future__ import annotations

from itertools import chain, count
from typing import Any

import numpy as np
import scipy.sparse as sp

from reluopt.asking.given import as_network
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.base import BoundingMethod, PreActivationBounds
from reluopt.embed import PACKAGES
from reluopt.embed.added import AddedNetwork
from reluopt.embed.inputs import Entries, arranged, read_entries
from reluopt.embed.packages.base import Name, Package
from reluopt.errors import InputError, shown
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.base import ABSENT, EncodedProblem, Formulation
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.linear_programs import IndexArray
from reluopt.questions.input_sets import Box, InputSet

BOUNDS = "linear"
"""The default: strong, and a millisecond for a small network."""


def add_network(
    model: Any,
    network: Any,
    inputs: Any,
    *,
    bounds: str | BoundingMethod | PreActivationBounds | None = None,
    formulation: str | Formulation = "bigm",
    prefix: str | None = None,
) -> AddedNetwork:
    r"""Write a trained ReLU network into a model of one's own.

    In every feasible point of the model, the ``output`` of what is returned is what the network
    gives for the values of ``inputs``, up to the solver's tolerances. For each neuron that bounds
    leave undecided there are three variables (Grimstad & Andersson 2019, equation 5):

    .. math:: W x^{k-1} + b = x - s, \quad 0 \le x \le U z, \quad 0 \le s \le -L (1 - z),
              \quad z \in \{0, 1\}.

    Args:
        model: a ``gurobipy.Model``, ``highspy.Highs``, ``pyscipopt.Model``, or a concrete model or
            block of Pyomo.
        network: a network, a bundled name, a file, or a PyTorch, Keras or scikit-learn model.
        inputs: its inputs in the units of the data: variables of the model, linear expressions of
            them, or numbers; flat or in the network's shape, as lists, arrays, matrix variables or
            the package's own containers. Variables need finite bounds; what is written holds within
            the bounds that they have *now*.
        bounds: what computes pre-activation bounds over the box of the inputs: ``"interval"``,
            ``"linear"`` or ``"lp"`` (tightest, slowest), or bounds that hold for every input that
            the model allows. None is the formulation's own, else ``"linear"``.
        formulation: ``"bigm"``, ``"partition-2"``, ``"partition-4"``, ``"hull"``, ``"thesis"``, or
            ``"indicator"`` where the package has indicator constraints.
        prefix: what names of variables begin with; ``relu_``, then ``relu2_`` and so on, unless
            told. The output of neuron 3 in the first hidden layer is ``relu_x[0,3]``, output 1 is
            ``relu_y[1]``.

    Raises:
        InputError: the model, the network or a name means nothing, the inputs do not fit or are not
            bounded, the package lacks what the formulation needs, or the prefix is taken.

    Example:
        >>> import gurobipy as gp
        >>> import reluopt as ro
        >>> network = ro.ReLUNetwork((ro.Dense([[5.0, -4.0]], [3.0]), ro.Dense([[-2.0]], [50.0])))
        >>> with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        ...     x = model.addVars(2, ub=1.0)
        ...     added = ro.add_network(model, network, x)
        ...     model.setObjective(added.output[0], gp.GRB.MINIMIZE)
        ...     model.optimize()
        ...     print(round(model.ObjVal, 6), added)
        34.0 AddedNetwork(network 2-1-1, bigm, linear: 4 variables, 1 of them binary, 4 constraints)
    """
    package = _package(model)
    form = _formulation(formulation, package)
    given = arranged(inputs)
    net = as_network(network, np.zeros((1, *given.shape)))
    entries = read_entries(package, net, given)
    held = _bounds(bounds, form, net, entries.box)
    encoded = form.encode_network(net, held, entries.box)
    prefix = _prefix(package, prefix)
    variables = _add_variables(package, prefix, encoded)
    constraints = _add_rows(package, prefix, encoded, entries, variables)
    output, x, s, z = _neurons(encoded, variables)
    return AddedNetwork(
        package=package,
        network=net,
        inputs=tuple(given.ravel()),
        output=output,
        x=x,
        s=s,
        z=z,
        variables=tuple(variables),
        constraints=tuple(constraints),
        binaries=encoded.program.size["binaries"],
        bounds=held,
        box=(entries.box.lower, entries.box.upper),
        formulation=form.name,
        prefix=prefix,
    )


def _package(model: Any) -> Package:
    """The package that a model is of, which can be added to."""
    for name in PACKAGES.names:
        kind = PACKAGES.load(name)
        if kind.takes(model):
            package: Package = kind(model)
            package.refuse_closed()
            return package
    found = f"{type(model).__module__}.{type(model).__qualname__}"
    raise InputError(f"model: expected one of {', '.join(PACKAGES.names)}, found {shown(found)}")


def _formulation(given: Any, package: Package) -> Formulation:
    """A formulation whose rows the package has."""
    form = FORMULATIONS.resolve(given, Formulation)
    if form.indicators and not package.indicators:
        able = [name for name in PACKAGES.names if PACKAGES.load(name).indicators]
        raise InputError(
            f"formulation {form}: expected a model with indicator constraints, of "
            f"{' or '.join(able)}, found {type(package.model).__name__}"
        )
    return form


def _bounds(given: Any, form: Formulation, network: ReLUNetwork, box: Box) -> PreActivationBounds:
    """Bounds that hold over a box: those given, or what a method computes."""
    if isinstance(given, PreActivationBounds):
        sizes = tuple(values.size for values in given.lower)
        if sizes != network.sizes[1:]:
            raise InputError(
                f"bounds: expected layers of {network.sizes[1:]} neurons, found {sizes}"
            )
        if given.empty:
            raise InputError("bounds: expected lower <= upper, found bounds that hold nowhere")
        for k, ends in enumerate(zip(given.lower[:-1], given.upper[:-1], strict=True)):
            if not np.isfinite(ends).all():
                raise InputError(
                    f"bounds: expected finite ones of hidden layer {k}, found infinity"
                )
        return given
    default = form.bounds or BOUNDS
    method = BOUNDING_METHODS.resolve(default if given is None else given, BoundingMethod)
    method.refuse_untrue(network, box)
    return method.compute(network, InputSet(box))


def _prefix(package: Package, given: str | None) -> str:
    """A prefix that the model does not hold yet."""
    if given is None:
        numbered = (f"relu{number}_" for number in count(2))
        return next(each for each in chain(["relu_"], numbered) if not package.has(each))
    if not isinstance(given, str) or not given.strip("_") or len(given.split()) != 1:
        raise InputError(f"prefix: expected a word such as 'yield_', found {shown(repr(given))}")
    if package.has(given):
        raise InputError(f"prefix: expected one that the model does not hold, found {given!r}")
    return given


def _names(encoded: EncodedProblem) -> list[Name]:
    """Names of all variables: x, s and z of neurons, y of outputs, v of anything else."""
    names: list[Name] = [("v", (number,)) for number in range(encoded.program.cost.size)]
    *hidden, last = encoded.network.layers
    parts = [
        (letter, getattr(layer, letter), (k,)) for k, layer in enumerate(hidden) for letter in "xsz"
    ]
    for letter, columns, place in [*parts, ("y", last.x, ())]:
        for neuron, column in enumerate(columns):
            if column != ABSENT:
                names[column] = letter, (*place, neuron)
    return names


def _add_variables(package: Package, prefix: str, encoded: EncodedProblem) -> list[Any]:
    """The variables of a program behind its inputs, which the model has already."""
    program, size = encoded.program, encoded.network.network.input_size
    ends = program.lower[size:], program.upper[size:]
    return package.add_variables(prefix, _names(encoded)[size:], *ends, program.binary[size:])


def _neurons(encoded: EncodedProblem, variables: list[Any]) -> tuple[Any, Any, Any, Any]:
    """Variables of the outputs, and x, s and z of each hidden layer; None where there is none."""
    size = encoded.network.network.input_size

    def of(columns: IndexArray) -> tuple[Any, ...]:
        return tuple(None if each == ABSENT else variables[each - size] for each in columns)

    *hidden, last = encoded.network.layers
    x, s, z = (tuple(of(getattr(layer, part)) for layer in hidden) for part in "xsz")
    return of(last.x), x, s, z


def _add_rows(
    package: Package,
    prefix: str,
    encoded: EncodedProblem,
    entries: Entries,
    variables: list[Any],
) -> list[Any]:
    """The rows of a program, its inputs being expressions of others' variables."""
    program, size = encoded.program, entries.constant.size
    matrix = sp.csc_array(program.matrix)
    first, others = sp.csr_array(matrix[:, :size]), sp.csr_array(matrix[:, size:])
    shift = first @ entries.constant
    joined = sp.csr_array(sp.hstack([first @ entries.matrix, others]))
    joined.eliminate_zeros()
    ends = program.row_lower - shift, program.row_upper - shift
    added = package.add_rows(prefix, [*entries.variables, *variables], joined, *ends)
    implied = encoded.implications
    if implied is None:
        return added
    z, zero = ([variables[each - size] for each in part] for part in (implied.z, implied.zero))
    return [*added, *package.add_implications(prefix, z, implied.value, zero)]
