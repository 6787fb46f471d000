"""The page: everything that a reader sees, in one file that needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from reluopt.images.display import (
    as_picture,
    changed_inputs,
    feature_name,
    feature_words,
    strongest,
)
from reluopt.numerics.arrays import FloatArray
from reluopt.report.anytime import Curve
from reluopt.report.charts import anytime_chart, charts, environment
from reluopt.report.kinds.base import Asked
from reluopt.report.pictures import change_png, change_scale, picture_png
from reluopt.report.runs import Entry, Run, natural, radii, series, series_names
from reluopt.report.tables import (
    averages,
    comparison_table,
    contradictions,
    instance_table,
    label,
    numeral,
    one_question,
    ratio_table,
    shared_images,
    status_counts,
    summary_table,
)
from reluopt.runs.tables import DASH

MAX_IMAGES = 400
"""Instances in the gallery unless asked otherwise; each takes about 2 kB of the page."""

MAX_ROWS = 3000
"""Rows of the table; browsers lay out that many at once without a noticeable wait."""

_FACTS = (
    ("network", "network"),
    ("network SHA-256", "network_sha256"),
    ("norm", "norm"),
    ("target", "target"),
    ("margin", "margin"),
    ("engine", "engine"),
    ("formulation", "formulation"),
    ("bounds", "bounds"),
    ("time limit (s)", "time_limit"),
    ("MIP gap", "gap"),
    ("threads", "threads"),
    ("seed", "seed"),
)


def html_page(
    runs: Sequence[Run], max_images: int, max_rows: int, curves: Sequence[Curve] = ()
) -> str:
    """The page of these runs, and of what searches knew as time went by."""
    shown, left = _gallery(runs, max_images)
    several = len(series(runs)) > 1
    entries = [each for own in series(runs).values() for each in own]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            runs=runs,
            checked=sum(each.checked for each in entries),
            answers=sum(place in run.answers for run in runs for place in range(len(run.rows))),
            heading=runs[0].kind.heading(runs[0].norm),
            asked=_asked(runs, entries),
            verdict=_verdict(runs, entries),
            tiles=_tiles(runs),
            provenance=[_provenance(run) for run in runs],
            summary=summary_table(runs) if several else None,
            ratios=ratio_table(runs) if several else None,
            comparison=comparison_table(runs, max_rows) if several else None,
            contradictions=contradictions(runs) if several else [],
            charts=[*charts(runs), *filter(None, [anytime_chart(curves)])],
            instances=instance_table(runs, max_rows),
            gallery=len(shown),
            gallery_note=left,
            notes=sorted({run.note for run in runs if run.note and run.answers}),
            first=_orders(runs),
            layered=any(entry["difference"] for entry in shown),
            words=_words(runs),
            series=list(series(runs)),
            statuses=status_counts(runs).most_common(),
            data=_embedded(shown),
            style=_static("style.css"),
            script=_static("script.js"),
        )
    )


def _asked(runs: Sequence[Run], entries: Sequence[Entry]) -> str:
    """The question of the runs in a sentence."""
    if not one_question(runs):
        return f"{', '.join(run.name for run in runs)}: runs that ask different questions."
    networks = sorted({str(e.row["network"]) for e in entries if e.row.get("network")})
    known = Asked(
        runs[0].settings,
        runs[0].norm,
        " or ".join(networks),
        len({each.image for each in entries}),
        radii(runs),
    )
    return runs[0].kind.asked(known)


def _verdict(runs: Sequence[Run], entries: Sequence[Entry]) -> str:
    """What came out in a sentence."""
    kinds = {type(run.kind): run.kind for run in runs}
    return "; ".join(
        kind.verdict([each for each in entries if type(each.run.kind) is known])
        for known, kind in kinds.items()
    )


def _orders(runs: Sequence[Run]) -> tuple[str, str]:
    """What the gallery's orders by value are called: the lowest first, and the highest."""
    near = all(run.kind.distances for run in runs)
    return ("nearest", "farthest") if near else ("smallest", "largest")


_NORMS = {"L1": "the sum of all changes", "L2": "the root of the sum of their squares"}
_NORMS["Linf"] = "the largest one"


def _words(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What the words of the page mean."""
    norms = sorted({run.norm.label for run in runs if run.norm is not None})
    words = []
    if norms:
        told = [f"{norm}: {_NORMS[norm]}." for norm in norms if norm in _NORMS]
        length = f"Length of the change in the {' or '.join(norms)} norm; {_units(runs)}"
        words.append(("distance", " ".join([length, *told])))
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, meaning in run.kind.words:
            found.setdefault(name, {})[meaning] = None
    words += [(name, " ".join(meanings)) for name, meanings in found.items()]
    return [*words, ("checked", _CHECKED)]


_CHECKED = (
    "A forward pass of the real network confirms everything that is claimed of the image, and it "
    "stays in its box."
)


@cache
def _static(name: str) -> Markup:
    """A style sheet or script of our own, which goes into the page as it is."""
    return Markup((files("reluopt.report") / "templates" / name).read_text(encoding="utf-8"))


def _embedded(value: Any) -> Markup:
    """JSON that no content can break out of."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _tiles(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """A few large numbers."""
    entries = [each for own in series(runs).values() for each in own]
    proven, total = sum(each.proven for each in entries), len(entries)
    words = " or ".join(dict.fromkeys(run.kind.word for run in runs))
    tiles = [(f"{total:,}", "instances"), (_percent(proven, total), words)]
    count = len(series(runs))
    if count > 1:
        many = "compared" if len(runs) > 1 else runs[0].kind.many
        return [*tiles, (str(count), many), (f"{len(shared_images(runs)):,}", "shared images")]
    sums = runs[0].kind.sums(entries)
    if sums:
        low, high = (
            _percent(round(value.value * total / 100.0), total) for value, _ in sums.values()
        )
        tiles.append((low if low == high else f"{low} to {high}", "robust error"))
    else:
        tiles.append((str(averages(entries)[0]), f"median {_measure(runs[0])}"))
    known = [each.seconds for each in entries if math.isfinite(each.seconds)]
    if known:
        # A stopped run sorts where its limit is, which is below its true time.
        mark = "≥ " if 2 * (total - proven) >= total else ""
        tiles.append((f"{mark}{np.median(known):.3g} s", "median time"))
    return tiles


def _measure(run: Run) -> str:
    """What is optimised, with its norm."""
    measured = run.norm is not None and run.kind.value == "distance"
    return f"{run.norm.label} {run.kind.measure}" if measured and run.norm else run.kind.measure


def _percent(part: int, whole: int) -> str:
    """A share that says 100 % only when it is all, and 0 % only when it is nothing."""
    share = 100.0 * part / whole
    if 0.0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.0f} %" if part in (0, whole) else f"{min(max(share, 0.1), 99.9):.3g} %"


def _provenance(run: Run) -> dict[str, Any]:
    """How a run was computed."""
    record = run.record
    machine = record.get("machine", {})
    sessions = record.get("sessions", [])
    command = record.get("command", [])
    facts = [(name, run.settings.get(key)) for name, key in _FACTS]
    facts += [
        ("data SHA-256", _distinct(sessions, "data_sha256")),
        ("executor", _distinct(sessions, "executor")),
        ("sessions", len(sessions) or None),
        ("started", record.get("started")),
        ("machine", _joined(machine, ("processor", "cores", "platform"))),
        ("versions", ", ".join(f"{k} {v}" for k, v in record.get("versions", {}).items())),
    ]
    return {
        "name": run.name,
        "command": " ".join(map(str, command)),
        "facts": [(name, str(value)) for name, value in facts if value not in (None, "")],
    }


def _units(runs: Sequence[Run]) -> str:
    """What changes are measured in."""
    own = any(run.settings.get("input_box") for run in runs)
    return "inputs lie in a box of their own units." if own else "pixels lie in [0, 1]."


def _distinct(sessions: Sequence[Mapping[str, Any]], name: str) -> str:
    """What the sessions say, each answer once."""
    return ", ".join(dict.fromkeys(str(s[name]) for s in sessions if s.get(name) is not None))


def _joined(values: Mapping[str, Any], names: Sequence[str]) -> str:
    found = [f"{values[n]} cores" if n == "cores" else str(values[n]) for n in names if n in values]
    return ", ".join(found)


def _gallery(runs: Sequence[Run], limit: int) -> tuple[list[dict[str, Any]], str]:
    """What the gallery shows, and a sentence on what it leaves out."""
    total = sum(len(run.originals.keys() | run.answers.keys()) for run in runs)
    shown: list[dict[str, Any]] = []
    names = series_names(runs)
    for position, run in enumerate(runs):
        # The room is shared evenly among the runs that are still to come.
        room = (limit - len(shown)) // (len(runs) - position)
        numbers = sorted(run.originals.keys() | run.answers.keys())[:room]
        shared = run.originals.keys() & run.answers.keys()
        scale = change_scale([run.answers[k] - run.originals[k] for k in sorted(shared)])
        shown += [_entry(run, number, scale, names[position][number]) for number in numbers]
    shown.sort(key=lambda entry: natural(entry["key"]))
    if len(shown) == total:
        return shown, ""
    first = "The first" if len(runs) == 1 else "The first of each run,"
    note = f"{first} {len(shown):,} of {total:,} images, to keep this page small (--max-images)."
    return shown, note


def _entry(run: Run, place: int, scale: float, series_name: str) -> dict[str, Any]:
    """One instance of the gallery: its images and its numbers."""
    each = Entry.of(run, run.rows[place])
    original, answer = run.originals.get(place), run.answers.get(place)
    looks = _pictures(run, original, answer, scale)
    numbers = [
        (_measure(run), numeral(each.value).text),
        *((c.title, numeral(getattr(each, c.attribute), c.form).text) for c in run.kind.columns),
        ("engine", str(each.row.get("engine") or DASH)),
    ]
    if original is not None and answer is not None:
        picture = as_picture(answer - original)
        what, change = "inputs", answer - original
        if picture is not None:
            what, change = "pixels", strongest(picture)
        changed = int((np.abs(change) > CHANGED).sum())
        numbers.insert(1, (f"{what} changed", f"{changed} of {change.size}"))
    return {
        "key": each.image,
        "run": series_name,
        "status": each.status,
        "label": label(each.label),
        "change": each.change,
        "short": _short(each),
        "nothing": run.kind.nothing(each.status),
        "sort": {
            name: value if math.isfinite(value) else None
            for name, value in (
                ("distance", each.value),
                ("seconds", each.seconds),
                ("lead", each.lead),
            )
        },
        "numbers": numbers,
        "checked": each.checked,
        "message": str(each.row.get("message") or ""),
        "scale": f"{scale:g}",
        **looks,
    }


def _short(each: Entry) -> str:
    """The value of an instance below its picture."""
    if not math.isfinite(each.value):
        return each.run.kind.nothing(each.status) if each.proven else "no answer"
    norm = each.run.norm
    named = norm is not None and each.run.kind.value == "distance"
    what = norm.label if named and norm else each.run.kind.measure
    return f"{what} {numeral(each.value, '.3g').text}"


def _pictures(
    run: Run, original: FloatArray | None, answer: FloatArray | None, scale: float
) -> dict[str, Any]:
    """The pictures of an instance or, where inputs are none, words on its features."""
    before, after = (None if each is None else as_picture(each) for each in (original, answer))
    shown = after if before is None else before
    pngs = [None if each is None else picture_png(each, run.span) for each in (before, after)]
    difference = None
    if before is not None and after is not None:
        difference = change_png(before, after, scale, run.span)
    words: list[str] = []
    if shown is None and answer is not None:
        old, new = None if original is None else original.ravel(), answer.ravel()
        rows = changed_inputs(old, new, run.ends(new.size))
        words = [
            f"{feature_name(row)}: {feature_words(None if old is None else old[row], new[row])}"
            for row in rows[:MAX_FEATURES]
        ]
        words += [f"and {len(rows) - MAX_FEATURES} more"] if len(rows) > MAX_FEATURES else []
    return {
        "size": None if shown is None else list(shown.shape[:2]),
        "original": pngs[0],
        "adversarial": pngs[1],
        "difference": difference,
        "features": words,
    }


MAX_FEATURES = 12
"""Changed features that are told of an input that is no picture, the largest changes first."""

CHANGED = 1e-6
"""Pixel changes up to here count as none: far below a grey level, far above rounding."""
