"""What the attacks of Foolbox have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from reluopt.bench.peers.base import Found, Peer, aim, scalar_box, sequential
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Task


class FoolboxAttack(Peer):
    """An attack of Foolbox on the network in float32; it keeps no time limit."""

    modules: ClassVar[Mapping[str, str]] = {"foolbox": "foolbox", "torch": "torch"}

    @abstractmethod
    def attack(self, norm: str) -> Any:
        """The attack for a norm."""

    def nearest(self, network: ReLUNetwork, task: Task, seconds: float) -> Found:
        """What it finds; targeted for one target, untargeted for all others than the label."""
        import foolbox
        import torch

        model = foolbox.PyTorchModel(
            sequential(network, double=False), bounds=scalar_box(task), device="cpu"
        )
        image = torch.from_numpy(task.image[None].astype(np.float32))
        label, targeted = aim(network, task)
        kinds = foolbox.criteria
        kind = kinds.TargetedMisclassification if targeted else kinds.Misclassification
        criterion = kind(torch.tensor([label]))
        torch.manual_seed(0)
        np.random.seed(0)  # the attacks draw from it
        found = self.attack(str(task.norm)).run(model, image, criterion)
        return Found(found[0].detach().numpy().astype(np.float64))
