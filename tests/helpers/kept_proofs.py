"""Proof files as parts that tests change, and whether what a changed file claims is true."""

import copy
import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from safetensors.numpy import load, save

from helpers.exact import exact_layers, exact_objective, exact_optimum, exact_slacks
from helpers.instances import random_network, random_problem
from reluopt.engines.options import EngineOptions
from reluopt.engines.proving import Claim, proving_engine
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.writers.safetensors import encode
from reluopt.pipeline import solve
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import LogitConditions
from reluopt.questions.minimal_perturbation import MinimalPerturbation
from reluopt.questions.norms.base import Norm
from reluopt.questions.targets import AnyTarget
from reluopt.questions.tasks import Alternative, Task
from reluopt.questions.verification import Verification

KEEPING = Method("bnb", options=EngineOptions(time_limit=20.0, extra={"proof": True}))

RADII = {Norm.LINF: 1.0, Norm.L2: 25.0, Norm.L1: 75.0}
"""Lengths of balls that hold about as much, relative to that of Linf."""


@dataclass
class Kept:
    """A proof and its network.

    Attributes:
        fields, tensors: of the proof's file.
        about, weights: of the network's.
    """

    fields: dict
    tensors: dict
    about: dict
    weights: dict

    @classmethod
    def of(cls, proof: bytes, network: bytes) -> "Kept":
        return cls(*_parts(proof), *_parts(network))

    def copied(self) -> "Kept":
        return copy.deepcopy(self)

    def write(self, folder):
        """Both files, as (proof, network)."""
        paths = folder / "proof.safetensors", folder / "network.safetensors"
        for path, tensors, fields in (
            (paths[0], self.tensors, self.fields),
            (paths[1], self.weights, self.about),
        ):
            arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
            path.write_bytes(save(arrays, {"reluopt": json.dumps(fields)}))
        return paths

    def network(self) -> ReLUNetwork:
        count = len(self.weights) // 2
        pairs = [
            (self.weights[f"layers.{k}.weight"], self.weights[f"layers.{k}.bias"])
            for k in range(count)
        ]
        return ReLUNetwork(tuple(Dense(w.astype(float), b.astype(float)) for w, b in pairs))

    def task(self) -> Task:
        """The nearest input that meets what the claim is about."""
        tensors, claim = self.tensors, self.fields["claim"]
        alternatives = tuple(
            Alternative(0, LogitConditions(tensors[f"claim.{t}.matrix"], tensors[f"claim.{t}.rhs"]))
            for t in range(claim["alternatives"])
        )
        image, lower, upper = (tensors[f"claim.{name}"] for name in ("image", "lower", "upper"))
        return Task.nearest(
            image.astype(float), Box(lower, upper), Norm(claim["norm"]), alternatives
        )

    def renamed(self) -> "Kept":
        """With the fingerprint of its network, whatever that has become."""
        self.fields["network_sha256"] = self.network().fingerprint
        return self


def _parts(data):
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length])["__metadata__"]["reluopt"]
    return json.loads(text), load(data)


_OPTIMA: dict[str, float | Fraction] = {}


def optimum(network, task):
    """The true objective of a task, exactly."""
    digest = hashlib.sha256(f"{task.norm} {network.fingerprint}".encode())
    arrays = [task.image, task.box.lower, task.box.upper]
    for each in task.alternatives:
        arrays += [each.conditions.matrix, each.conditions.rhs]
    for array in arrays:
        digest.update(array.tobytes())
    key = digest.hexdigest()
    if key not in _OPTIMA:
        _OPTIMA[key] = exact_optimum(network, task)
    return _OPTIMA[key]


def untrue(kept: Kept) -> str:
    """What is wrong with what a file claims; an empty text when it is true."""
    network, task, claim = kept.network(), kept.task(), kept.fields["claim"]
    bound, best = claim.get("bound"), optimum(network, task)
    if claim["question"] == "verdict":
        false = best <= (Fraction(bound) ** 2 if task.norm is Norm.L2 else Fraction(bound))
    else:
        false = best < (math.inf if bound is None else Fraction(bound))
    if false:
        return f"{claim['question']} {task.norm} {bound} is claimed, {float(best)!r} is true"
    if claim["question"] == "verdict" or claim.get("incumbent") is None:
        return ""
    image = kept.tensors["claim.incumbent"].astype(float)
    logits = exact_layers(network, image)[-1]
    if min(exact_slacks(task.alternatives[claim["incumbent"]], logits)) < 0:
        return "the answer misses a condition"
    if bound is not None and exact_objective(task, image) < Fraction(bound):
        return "the answer lies below the bound"
    return ""


def kept_proof(generator, norm, verdict) -> Kept:
    """A proof about a random small network; ties, twins and dead neurons are common."""
    while True:
        network = random_network(generator)
        problem = random_problem(generator, network, (norm,))
        if verdict:
            label = int(network.predict(problem.image))
            probe = Verification(problem.image, label, 1.0, norm, problem.box)
            task = probe.task(network)
            box = task.inputs.box
            near = Task.nearest(task.inputs.center, box, norm, task.alternatives)
            best = float(optimum(network, near))
            if not 1e-9 < best < math.inf:
                continue
            length = math.sqrt(best) if norm is Norm.L2 else best
            eps = length * generator.choice([0.3, 0.9, 0.999])
            problem = Verification(problem.image, label, eps, norm, problem.box)
        solution = solve(network, problem, KEEPING)
        if solution.proof is None:
            continue
        claim = Claim.of(network, problem.task(network), solution, "random")
        kept = Kept.of(proving_engine().proof_bytes(solution.proof, claim), encode(network))
        if "claim" in kept.fields:
            return kept


def digit_proof(network, images, index, norm, eps=None) -> Kept | None:
    """The proof of a digit's distance, untargeted, or of its verdict; None where none is kept."""
    image, label = images.images[index].reshape(-1), int(images.labels[index])
    if eps is None:
        problem = MinimalPerturbation(image, label, AnyTarget(), norm)
    else:
        problem = Verification(image, label, eps * RADII[norm], norm)
    solution = solve(network, problem, KEEPING)
    if solution.proof is None:
        return None
    claim = Claim.of(network, problem.task(network), solution, f"test:{index}")
    return Kept.of(proving_engine().proof_bytes(solution.proof, claim), encode(network))


def untrue_of_digit(kept: Kept, changed: Kept) -> str:
    """What a change claims that the known answer refutes."""
    task, other = kept.task(), changed.task()
    asked = ("image", "lower", "upper", "incumbent", "matrix", "rhs")
    names = [n for n in kept.tensors if n.startswith("claim.") and n.endswith(asked)]
    same = all(np.array_equal(kept.tensors[n], changed.tensors.get(n)) for n in names)
    if not same or task.norm is not other.norm or changed.fields["claim"]["question"] != "distance":
        return ""
    if changed.network().fingerprint != kept.network().fingerprint:
        return ""
    bound, known = changed.fields["claim"].get("bound"), kept.tensors.get("claim.incumbent")
    if known is None:
        return ""
    most = exact_objective(task, known.astype(float))
    return "" if bound is not None and Fraction(bound) <= most else f"{bound} > {float(most)}"
