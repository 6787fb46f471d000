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
    from reluopt.answers.solution import Certificate as Certificate
    from reluopt.answers.solution import Solution as Solution
    from reluopt.answers.solution import Status as Status
    from reluopt.asking.ask import nearest as nearest
    from reluopt.asking.ask import verify as verify
    from reluopt.asking.ask import worst_case as worst_case
    from reluopt.asking.foolbox import ExactAttack as ExactAttack
    from reluopt.asking.results import NearestResult as NearestResult
    from reluopt.asking.results import Results as Results
    from reluopt.asking.results import VerificationResult as VerificationResult
    from reluopt.asking.results import WorstCaseResult as WorstCaseResult
    from reluopt.bounds import compute_bounds as compute_bounds
    from reluopt.bounds.base import PreActivationBounds as PreActivationBounds
    from reluopt.embed.add_network import add_network as add_network
    from reluopt.embed.added import AddedNetwork as AddedNetwork
    from reluopt.engines import choose_engine as choose_engine
    from reluopt.engines import engine_names as engine_names
    from reluopt.engines.options import EngineOptions as EngineOptions
    from reluopt.errors import EngineUnavailableError as EngineUnavailableError
    from reluopt.errors import InputError as InputError
    from reluopt.errors import ReluoptError as ReluoptError
    from reluopt.errors import UnsupportedProblemError as UnsupportedProblemError
    from reluopt.formulation import encode as encode
    from reluopt.images.image_files import load_image_file as load_image_file
    from reluopt.images.mnist import Dataset as Dataset
    from reluopt.images.mnist import load_images as load_images
    from reluopt.install import own_version as own_version
    from reluopt.method import Method as Method
    from reluopt.networks.evaluation import evaluate as evaluate
    from reluopt.networks.layers.base import Dense as Dense
    from reluopt.networks.metadata import NetworkMetadata as NetworkMetadata
    from reluopt.networks.network import ReLUNetwork as ReLUNetwork
    from reluopt.networks.readers.keras_model import from_keras as from_keras
    from reluopt.networks.readers.sklearn_model import from_sklearn as from_sklearn
    from reluopt.networks.readers.torch_module import from_torch as from_torch
    from reluopt.networks.saving import save_network as save_network
    from reluopt.networks.training.adversarial import AdversarialRecipe as AdversarialRecipe
    from reluopt.networks.training.scikit import ScikitRecipe as ScikitRecipe
    from reluopt.networks.training.torch_recipe import TorchRecipe as TorchRecipe
    from reluopt.networks.training.training import train as train
    from reluopt.networks.zoo import bundled_names as bundled_names
    from reluopt.networks.zoo import load_network as load_network
    from reluopt.pipeline import solve as solve
    from reluopt.questions.problems import AbsoluteMargin as AbsoluteMargin
    from reluopt.questions.problems import AnyTarget as AnyTarget
    from reluopt.questions.problems import BareRelativeMargin as BareRelativeMargin
    from reluopt.questions.problems import Blend as Blend
    from reluopt.questions.problems import Box as Box
    from reluopt.questions.problems import Classification as Classification
    from reluopt.questions.problems import FixedTarget as FixedTarget
    from reluopt.questions.problems import InputSet as InputSet
    from reluopt.questions.problems import MinimalPerturbation as MinimalPerturbation
    from reluopt.questions.problems import Norm as Norm
    from reluopt.questions.problems import OptimalInput as OptimalInput
    from reluopt.questions.problems import RelativeMargin as RelativeMargin
    from reluopt.questions.problems import RunnerUpTarget as RunnerUpTarget
    from reluopt.questions.problems import ShiftTarget as ShiftTarget
    from reluopt.questions.problems import Task as Task
    from reluopt.questions.problems import UniversalPerturbation as UniversalPerturbation
    from reluopt.questions.problems import Verification as Verification
    from reluopt.questions.problems import WorstCase as WorstCase

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
    "load_network": "networks.zoo",
    "nearest": "asking.ask",
    "own_version": "install",
    "save_network": "networks.saving",
    "solve": "pipeline",
    "train": "networks.training.training",
    "verify": "asking.ask",
    "worst_case": "asking.ask",
}
"""Module of every public name."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("reluopt.install").own_version()
    if name not in _PLACES:
        raise AttributeError(f"module 'reluopt' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"reluopt.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
