"""Exact answers about trained ReLU networks.

What people use is here; everything else is a detail that may move::

    import reluopt as ro

    network = ro.load_network("thesis")
    print(ro.nearest(network, ro.load_images("test").image(0), norm="l2"))

Behind it are questions and methods: ``solve(network, MinimalPerturbation(...), Method(...))``.

Names are loaded on first use, so that what a program does not use costs it nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reluopt.answers.solution import Certificate, Solution, Status
    from reluopt.asking.ask import nearest, verify, worst_case
    from reluopt.asking.foolbox import ExactAttack
    from reluopt.asking.results import (
        NearestResult,
        Results,
        VerificationResult,
        WorstCaseResult,
    )
    from reluopt.bounds import compute_bounds
    from reluopt.bounds.base import PreActivationBounds
    from reluopt.embed.add_network import add_network
    from reluopt.embed.added import AddedNetwork
    from reluopt.engines import choose_engine, engine_names
    from reluopt.engines.options import EngineOptions
    from reluopt.errors import (
        EngineUnavailableError,
        InputError,
        ReluoptError,
        UnsupportedProblemError,
    )
    from reluopt.formulation import encode
    from reluopt.images.image_files import load_image_file
    from reluopt.images.mnist import Dataset, load_images
    from reluopt.install import own_version
    from reluopt.method import Method
    from reluopt.networks.evaluation import evaluate
    from reluopt.networks.layers.base import Dense
    from reluopt.networks.metadata import NetworkMetadata
    from reluopt.networks.network import ReLUNetwork
    from reluopt.networks.readers.keras_model import from_keras
    from reluopt.networks.readers.sklearn_model import from_sklearn
    from reluopt.networks.readers.torch_module import from_torch
    from reluopt.networks.saving import save_network
    from reluopt.networks.training.adversarial import AdversarialRecipe
    from reluopt.networks.training.scikit import ScikitRecipe
    from reluopt.networks.training.torch_recipe import TorchRecipe
    from reluopt.networks.training.training import train
    from reluopt.networks.zoo import bundled_names
    from reluopt.networks.zoo import open_network as load_network
    from reluopt.pipeline import solve
    from reluopt.questions.problems import (
        AbsoluteMargin,
        AnyTarget,
        BareRelativeMargin,
        Blend,
        Box,
        Classification,
        FixedTarget,
        InputSet,
        MinimalPerturbation,
        Norm,
        OptimalInput,
        RelativeMargin,
        RunnerUpTarget,
        ShiftTarget,
        Task,
        UniversalPerturbation,
        Verification,
        WorstCase,
    )

_QUESTIONS = "questions.problems"

_PLACES = {
    "AbsoluteMargin": _QUESTIONS,
    "AddedNetwork": "embed.added",
    "AdversarialRecipe": "networks.training.adversarial",
    "AnyTarget": _QUESTIONS,
    "BareRelativeMargin": _QUESTIONS,
    "Blend": _QUESTIONS,
    "Box": _QUESTIONS,
    "Certificate": "answers.solution",
    "Classification": _QUESTIONS,
    "Dataset": "images.mnist",
    "Dense": "networks.layers.base",
    "EngineOptions": "engines.options",
    "EngineUnavailableError": "errors",
    "ExactAttack": "asking.foolbox",
    "FixedTarget": _QUESTIONS,
    "InputError": "errors",
    "InputSet": _QUESTIONS,
    "Method": "method",
    "MinimalPerturbation": _QUESTIONS,
    "NearestResult": "asking.results",
    "NetworkMetadata": "networks.metadata",
    "Norm": _QUESTIONS,
    "OptimalInput": _QUESTIONS,
    "PreActivationBounds": "bounds.base",
    "ReLUNetwork": "networks.network",
    "RelativeMargin": _QUESTIONS,
    "ReluoptError": "errors",
    "Results": "asking.results",
    "RunnerUpTarget": _QUESTIONS,
    "ScikitRecipe": "networks.training.scikit",
    "ShiftTarget": _QUESTIONS,
    "Solution": "answers.solution",
    "Status": "answers.solution",
    "Task": _QUESTIONS,
    "TorchRecipe": "networks.training.torch_recipe",
    "UniversalPerturbation": _QUESTIONS,
    "UnsupportedProblemError": "errors",
    "Verification": _QUESTIONS,
    "VerificationResult": "asking.results",
    "WorstCase": _QUESTIONS,
    "WorstCaseResult": "asking.results",
    "add_network": "embed.add_network",
    "bundled_names": "networks.zoo",
    "choose_engine": "engines",
    "compute_bounds": "bounds",
    "encode": "formulation",
    "engine_names": "engines",
    "evaluate": "networks.evaluation",
    "from_keras": "networks.readers.keras_model",
    "from_sklearn": "networks.readers.sklearn_model",
    "from_torch": "networks.readers.torch_module",
    "load_image_file": "images.image_files",
    "load_images": "images.mnist",
    "load_network": "networks.zoo:open_network",
    "nearest": "asking.ask",
    "own_version": "install",
    "save_network": "networks.saving",
    "solve": "pipeline",
    "train": "networks.training.training",
    "verify": "asking.ask",
    "worst_case": "asking.ask",
}
"""Module of every public name; after a colon, what it is called there."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("reluopt.install").own_version()
    if name not in _PLACES:
        raise AttributeError(f"module 'reluopt' has no attribute {name!r}")
    module, _, original = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(f"reluopt.{module}"), original or name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
