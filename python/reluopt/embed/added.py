"""A network in somebody's own model, and where everything of it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reluopt.bounds.base import PreActivationBounds
from reluopt.embed.packages.base import Package, refuse_unless
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

Layers = tuple[tuple[Any, ...], ...]
"""For each hidden layer an entry for each neuron."""


@dataclass(frozen=True, eq=False, repr=False)
class AddedNetwork:
    """What :func:`reluopt.add_network` added to a model; variables and rows are the package's own.

    Attributes:
        output: variables of the outputs (logits), :math:`n_K` of them.
        inputs: what was given, flat, in the order in which the network reads it.
        x, s, z: of each hidden layer and neuron the variables in ``a = x - s``, x = max(0, a), and
            the binary that is 1 where the neuron is active. None where bounds make one superfluous:
            an active neuron has x alone, one that never is has none.
        variables, constraints: all that was added, in order. A max-pool adds more of both than
            there are neurons, and so do partitions.
        binaries: how many of the variables are binary.
        network: the network.
        bounds: pre-activation bounds over ``box``, on which the rows rest.
        box: lower and upper bounds of the inputs when the network was added.
        formulation: name of how neurons were written.
        prefix: what the names of the variables begin with.
        removed: whether it was taken out again.

    Example:
        >>> import highspy
        >>> import reluopt as ro
        >>> network = ro.ReLUNetwork((ro.Dense([[5.0, -4.0]], [3.0]), ro.Dense([[-2.0]], [50.0])))
        >>> model = highspy.Highs()
        >>> model.silent()
        >>> x = [model.addVariable(lb=0.0, ub=1.0) for _ in range(2)]
        >>> added = ro.add_network(model, network, x)
        >>> len(added.output), added.binaries
        (1, 1)
        >>> added.remove()
        >>> model.getNumCol()
        2
    """

    package: Package = field(repr=False)
    network: ReLUNetwork
    inputs: tuple[Any, ...]
    output: tuple[Any, ...]
    x: Layers
    s: Layers
    z: Layers
    variables: tuple[Any, ...]
    constraints: tuple[Any, ...]
    binaries: int
    bounds: PreActivationBounds
    box: tuple[FloatArray, FloatArray]
    formulation: str
    prefix: str
    removed: bool = False

    def remove(self) -> None:
        """Take the network out of the model; the inputs stay.

        In HiGHS, whose variables are numbers, only while nothing was added behind it; in SCIP
        while the model is not solved, or after its ``freeTransform``.

        Raises:
            InputError: the package cannot, or it was removed before.
        """
        refuse_unless(not self.removed, "a network in it", "that it was removed before")
        self.package.refuse_closed()
        self.package.remove(self.prefix, self.variables, self.constraints)
        object.__setattr__(self, "removed", True)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.network.sizes))
        made = f"{len(self.variables)} variables, {self.binaries} of them binary"
        where = "removed" if self.removed else f"{made}, {len(self.constraints)} constraints"
        name = self.network.metadata.name
        return f"AddedNetwork({name} {sizes}, {self.formulation}, {self.bounds.method}: {where})"
