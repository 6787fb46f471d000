"""One tree of sources, timed: instances come in as lines of JSON, CPU seconds go out.

:mod:`performance` starts one for each tree, with ``PYTHONPATH`` set to it; they take turns. What is
imported here, earlier versions have, too.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import reluopt as ro
from reluopt.questions.problems import parse_margin, parse_norm, parse_target


def solved(asked: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of one solve, its objective and status."""
    network = ro.load_network(asked["network"])
    data = ro.load_images("test")
    image, label = data.image(asked["image"]), int(data.labels[asked["image"]])
    target, norm = parse_target(asked["target"]), parse_norm(asked["norm"])
    problem = ro.MinimalPerturbation(image, label, target, norm, parse_margin(asked["margin"]))
    method = ro.Method("bnb", options=ro.EngineOptions(time_limit=asked["limit"]))
    started = time.process_time()
    found = ro.solve(network, problem, method)
    taken = time.process_time() - started
    return {"seconds": taken, "objective": found.objective, "status": str(found.status)}


def main() -> None:
    """Answer line by line until there are no more."""
    for line in sys.stdin:
        print(json.dumps(solved(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
