"""Published libraries that answer the same questions, one file each, loaded when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.bench.peers.base import Peer

PEERS: Registry[Peer] = Registry(
    "peer",
    **{
        "gurobi-ml": "bench.peers.gurobi_ml:GurobiMachineLearning",
        "pyscipopt-ml": "bench.peers.pyscipopt_ml:PySCIPOptML",
        "omlt-highs": "bench.peers.omlt:OMLT",
        "foolbox-ead": "bench.peers.foolbox_ead:ElasticNet",
        "foolbox-ddn": "bench.peers.foolbox_ddn:DecoupledDirectionNorm",
        "foolbox-bethge": "bench.peers.foolbox_bethge:BrendelBethge",
        "art-ead": "bench.peers.art_ead:ARTElasticNet",
    },
)
"""Peers by name: those that prove first, then attacks."""
