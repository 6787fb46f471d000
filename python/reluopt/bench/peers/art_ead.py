"""Adversarial Robustness Toolbox: EAD (Chen et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import Found, Peer, aim, scalar_box, sequential
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Task


class ARTElasticNet(Peer):
    """``ElasticNet`` with the L1 decision rule on the network in float32."""

    modules: ClassVar[Mapping[str, str]] = {
        "adversarial-robustness-toolbox": "art",
        "torch": "torch",
    }
    norms = ("l1",)
    settings = "decision rule L1, 1000 iterations"

    def nearest(self, network: ReLUNetwork, task: Task, seconds: float) -> Found:
        """What it finds; it keeps no time limit."""
        import torch
        from art.attacks.evasion import ElasticNet
        from art.estimators.classification import PyTorchClassifier

        classifier = PyTorchClassifier(
            sequential(network, double=False),
            torch.nn.CrossEntropyLoss(),
            (network.input_size,),
            network.output_size,
            clip_values=scalar_box(task),
            device_type="cpu",
        )
        label, targeted = aim(network, task)
        attack = ElasticNet(
            classifier,
            targeted=targeted,
            decision_rule="L1",
            max_iter=1000,
            verbose=False,
        )
        labels = np.eye(network.output_size)[[label]]
        found = attack.generate(task.image[None].astype(np.float32), y=labels)
        return Found(found[0].astype(np.float64))
