"""Tables of the study ``assignment``: what was printed beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reluopt.answers.solution import Status
from reluopt.runs.tables import DASH, fixed
from reluopt.studies.published import ASSIGNMENT, PublishedSize
from reluopt.studies.words import count_text, share_text

OURS, PRINTED = "here", "printed"

Facts = Mapping[str, Any]


def comparison(facts: Facts) -> pd.DataFrame:
    """Every printed result beside ours."""
    nearest, surest = facts["solved"]["nearest unit-logits"], facts["solved"]["surest unit-logits"]
    last = ASSIGNMENT.training[-1]
    logits = [max(x, 0.0) for x in facts["logits"]]
    rows = [
        ("accuracy, last epoch of training", f"{last[1]:.4f}", f"{facts['seen_accuracy']:.4f} *"),
        ("loss, last epoch of training", f"{last[0]:.4f}", f"{facts['seen_loss']:.4f} *"),
        ("accuracy, test", f"{ASSIGNMENT.accuracy:.4f}", f"{facts['accuracy']:.4f}"),
        ("loss, test", f"{ASSIGNMENT.loss:.4f}", f"{facts['loss']:.4f}"),
        ("image 12: probability of 9", *_pair(ASSIGNMENT.probability, facts["probability"], 6)),
        ("the same of outputs cut at 0", *_pair(ASSIGNMENT.clipped, facts["clipped"], 6)),
        ("outputs cut at 0", _outputs(ASSIGNMENT.outputs), _outputs(logits)),
        ("smallest deviation, L1", f"{ASSIGNMENT.distance:.6f}", _value(nearest)),
        ("its bound", f"{ASSIGNMENT.bound:g}", fixed(nearest["bound"], 6)),
        ("its nodes", count_text(ASSIGNMENT.nodes), count_text(nearest["nodes"])),
        ("its seconds", f"{ASSIGNMENT.seconds:g} (limit)", fixed(nearest["seconds"], 2)),
        ("answered as", *_answers(ASSIGNMENT.answer, ASSIGNMENT.answer_probability, nearest)),
        ("largest logit of 7 within L1 6", f"{ASSIGNMENT.logit:.6f}", _value(surest)),
        ("its nodes", count_text(ASSIGNMENT.logit_nodes), count_text(surest["nodes"])),
        ("its seconds", f"{ASSIGNMENT.logit_seconds:g}", fixed(surest["seconds"], 2)),
        ("answered as", *_answers(7, ASSIGNMENT.logit_probability, surest)),
    ]
    return _table(["result", PRINTED, OURS], rows)


def sizes(facts: Facts) -> pd.DataFrame:
    """Programs: theirs with maxima as general constraints, ours with a binary for each ReLU."""
    highs = facts["solved"]["nearest, HiGHS big-M of 1000"]
    ball = facts["solved"]["nearest, HiGHS bounds over the ball"]
    rows = [
        ("inference", PRINTED, *_size(ASSIGNMENT.inference)),
        ("inference, outputs cut at 0", OURS, *_counts(facts["fixed"]["relu"])),
        ("inference, logits", OURS, *_counts(facts["fixed"]["free"])),
        ("smallest deviation", PRINTED, *_size(ASSIGNMENT.deviation)),
        ("smallest deviation, big-M of 1000", OURS, *_counts(highs)),
        ("smallest deviation, bounds over the ball", OURS, *_counts(ball)),
        ("confident attack", PRINTED, *_size(ASSIGNMENT.confident)),
    ]
    columns = ["rows", "columns", "nonzeros", "binaries or general"]
    return _table(["program", "whose", *columns], rows)


def conventions(facts: Facts) -> pd.DataFrame:
    """The two problems under every convention, and by a general solver."""
    names = {
        "unit-logits": ("[0, 1]", "logits", "bnb"),
        "unit-clipped": ("[0, 1]", "cut at 0", "bnb"),
        "open-logits": ("[0, x + 1]", "logits", "bnb"),
        "open-clipped": ("[0, x + 1]", "cut at 0", "bnb"),
    }
    rows = [
        (*words, *_solved(facts["solved"][f"nearest {name}"], 6),
         *_solved(facts["solved"][f"surest {name}"], 6))
        for name, words in names.items()
    ]  # fmt: skip
    for name in ("bounds over the ball", "big-M of 1000"):
        found = facts["solved"][f"nearest, HiGHS {name}"]
        rows.append(("[0, 1]", "logits", f"HiGHS, {name}", *_solved(found, 6), None, None))
    columns = ["nearest, L1", "bound", "largest logit of 7", "bound "]
    return _table(["pixels", "outputs", "engine", *columns], rows)


def noises(facts: Facts) -> pd.DataFrame:
    """Noises on images that they were not made for."""
    names = {"nearest": "image 12, nearest", "surest": "image 12, surest 7"}
    rows = [
        (
            names.get(each["name"], each["name"]),
            fixed(each["length"], 4),
            "proven" if each["proven"] else f"≥ {fixed(each['bound'], 4)}",
            *(share_text(each[name], 1) for name in ("nines", "nines_shuffled")),
            *(share_text(each[name], 1) for name in ("others", "others_shuffled")),
        )
        for each in facts["noises"]
    ]
    columns = ["L1", "smallest", "other nines", "shuffled", "other digits", "shuffled "]
    return _table(["noise for", *columns], rows)


def _table(columns: list[str], rows: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype=object).fillna(DASH)


def _pair(printed: float, own: float, places: int) -> tuple[str | None, str | None]:
    return fixed(printed, places), fixed(own, places)


def _value(found: Facts) -> str | None:
    """A value, and whether it is proven."""
    text = fixed(found["value"], 6)
    return text if text is None or found["status"] != Status.OPTIMAL else f"{text}, proven"


def _solved(found: Facts, places: int) -> tuple[str | None, str | None]:
    return fixed(found["value"], places), fixed(found["bound"], places)


def _answers(label: int, probability: float, own: Facts) -> tuple[str, str | None]:
    """What is answered, with its probability."""
    text = f"{label} ({probability:.4f})"
    sure = own.get("probability")
    return text, None if sure is None else f"{own['predicted']} ({sure:.4f})"


def _outputs(values: Any) -> str:
    return ", ".join(f"{k}: {x:.4f}" for k, x in enumerate(values) if x > 0.0)


def _size(size: PublishedSize) -> tuple[str, ...]:
    return tuple(map(count_text, (size.rows, size.columns, size.nonzeros, size.general)))


def _counts(found: Facts) -> tuple[str, ...]:
    names = ("constraints", "variables", "nonzeros", "binaries")
    return tuple(count_text(found.get(name)) for name in names)
