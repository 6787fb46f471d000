"""Two charts of a report as SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.report.runs import Run, flag, number, series, settled
from reluopt.report.tables import shared_images

WIDTH, HEIGHT = 440.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 34.0, 44.0

MAX_SERIES = 7
"""Curves that can be told apart by colour and dash; the page styles ``s0`` to ``s6``."""

MANY_POINTS = 300
"""From here on points are drawn smaller, so that they do not hide each other."""

_JITTER, _BAR = 0.3, 0.42
"""Half the width over which the points of a class are spread, and half that of the median's bar;
classes are 1 apart."""


@dataclass(frozen=True)
class Chart:
    """A chart with its heading and a sentence that says how to read it."""

    title: str
    caption: str
    svg: str
    names: Sequence[str] = ()


@dataclass(frozen=True)
class _Axis:
    """Where values lie between two ends, in the chart's units."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values inside."""
        return _decades(self.low, self.high) if self.logarithmic else _steps(self.low, self.high)


def _steps(low: float, high: float) -> list[float]:
    """About five multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [(first + k) * step for k in range(count)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1.0,) if last - first > 3 else (1.0, 2.0, 5.0)
    every = [factor * 10.0**k for k in range(first, last + 1) for factor in factors]
    inside = [value for value in every if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return inside if len(inside) > 1 else _steps(low, high)


def charts(runs: Sequence[Run]) -> list[Chart]:
    """The charts that these runs can fill."""
    drawn = [_proof_chart(runs), _label_chart(runs), _distance_chart(runs)]
    return [chart for chart in drawn if chart is not None]


def _comparable(runs: Sequence[Run]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of the images that all series share; all rows where they share none."""
    shared = set(shared_images(runs))
    found = {}
    for name, (_, rows) in list(series(runs).items())[:MAX_SERIES]:
        found[name] = [row for row in rows if str(row.get("image")) in shared] or rows
    return found


def _proof_chart(runs: Sequence[Run]) -> Chart | None:
    """Share of instances proven against time."""
    curves = {}
    for name, rows in _comparable(runs).items():
        times = sorted(number(row, "seconds") for row in rows if settled(row))
        curves[name] = ([max(t, 1e-3) for t in times if math.isfinite(t)], len(rows))
    every = [time for times, _ in curves.values() for time in times]
    if len(every) < 2:
        return None
    across = _Axis(*_around(min(every), max(every)), _LEFT, WIDTH - _RIGHT, logarithmic=True)
    svg = _steps_svg(curves, across, "seconds for one instance (logarithmic)", "share proven")
    caption = "How many instances were settled with proof within a given time."
    if len(curves) > 1:
        caption += " Only images that all runs share count."
    return Chart("Proven within", caption, svg, tuple(curves))


def _measured(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with a checked image; a damaged one may lack its distance."""
    return [
        row for row in rows if flag(row, "certified") and math.isfinite(number(row, "distance"))
    ]


def _distance_chart(runs: Sequence[Run]) -> Chart | None:
    """Share of instances with a change of at most some length, for several runs of one norm."""
    norms = {run.norm for run in runs}
    found = _comparable(runs)
    if len(norms) > 1 or None in norms or len(found) < 2:
        return None
    curves = {}
    for name, rows in found.items():
        values = sorted(number(row, "distance") for row in _measured(rows))
        curves[name] = (values, len(rows))
    largest = max((values[-1] for values, _ in curves.values() if values), default=0.0)
    if largest <= 0.0:
        return None
    across = _Axis(0.0, 1.03 * largest, _LEFT, WIDTH - _RIGHT)
    name = next(norm for norm in norms if norm is not None).label
    svg = _steps_svg(curves, across, f"{name} distance", "share of instances")
    caption = (
        "How many instances have a checked adversarial image within a given distance. Where not "
        "all answers are proven smallest, the true curve lies further to the left."
    )
    return Chart("Distances", caption, svg, tuple(curves))


def _steps_svg(
    curves: Mapping[str, tuple[list[float], int]], across: _Axis, xlabel: str, ylabel: str
) -> str:
    """Cumulative shares as steps."""
    up = _Axis(0.0, 1.0, HEIGHT - _BOTTOM, _TOP)
    parts = [_frame(across, up, xlabel, ylabel, lambda value: f"{100 * value:.0f} %")]
    for place, (name, (values, count)) in enumerate(curves.items()):
        path = [f"M{across.start:.1f} {up(0.0):.1f}"]
        for step, value in enumerate(values, start=1):
            path.append(f"H{across(value):.1f}V{up(step / count):.1f}")
        path.append(f"H{across.end:.1f}")
        title = f"<title>{escape(name)}: {len(values)} of {count}</title>"
        parts.append(f'<path class="line s{place}" d="{"".join(path)}">{title}</path>')
    return _svg(parts, f"{ylabel} against {xlabel}")


def _label_chart(runs: Sequence[Run]) -> Chart | None:
    """Distance by true label, for a single run."""
    found = series(runs)
    run = runs[0]
    if len(found) > 1 or run.norm is None:
        return None
    rows = [row for row in _measured(run.rows) if math.isfinite(number(row, "label"))]
    if len(rows) < 2:
        return None
    labels = sorted({int(number(row, "label")) for row in rows})
    top = 1.05 * max(number(row, "distance") for row in rows)
    if top <= 0.0:
        return None
    across = _Axis(-0.6, len(labels) - 0.4, _LEFT, WIDTH - _RIGHT)
    up = _Axis(0.0, top, HEIGHT - _BOTTOM, _TOP)
    name = run.norm.label
    parts = [_frame(across, up, "true label", f"{name} distance", _short, labels)]
    radius = 3.0 if len(rows) <= MANY_POINTS else 2.0
    for place, label in enumerate(labels):
        own = [row for row in rows if int(number(row, "label")) == label]
        middle = up(float(np.median([number(row, "distance") for row in own])))
        ends = across(place - _BAR), across(place + _BAR)
        # Behind the points: one that lies on it stays whole.
        parts.append(f'<path class="median" d="M{ends[0]:.1f} {middle:.1f}H{ends[1]:.1f}"/>')
        places = place + _offsets(len(own))
        parts += [_point(row, across(x), up, radius) for row, x in zip(own, places, strict=True)]
    hollow = " Hollow: not proven smallest." if not all(settled(row) for row in rows) else ""
    caption = f"Each point is an image, each bar the median of a label.{hollow}"
    return Chart("Distance by label", caption, _svg(parts, f"{name} distance by true label"))


def _point(row: Mapping[str, Any], x: float, up: _Axis, radius: float) -> str:
    """One image, with its name on hovering."""
    distance = number(row, "distance")
    kind = "point" if settled(row) else "point open"
    title = escape(f"{row.get('image')}: {distance:.4g}")
    return (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{up(distance):.1f}" r="{radius:g}">'
        f"<title>{title}</title></circle>"
    )


def _offsets(count: int) -> FloatArray:
    """A spread without clumps around 0: the golden ratio's multiples modulo 1, and their mean 0."""
    spread = (2.0 * (np.arange(count) * 0.618034 % 1.0) - 1.0) * _JITTER
    return np.asarray(spread - spread.mean())


def _around(low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithmic axis with room on both sides."""
    margin = max((high / low) ** 0.05, 1.15)
    return low / margin, high * margin


def _short(value: float) -> str:
    return f"{value:.6g}"


def _frame(
    across: _Axis,
    up: _Axis,
    xlabel: str,
    ylabel: str,
    vertical: Callable[[float], str],
    names: Sequence[int] | None = None,
) -> str:
    """Grid, tick labels and axis labels; ``names`` are categories along the bottom."""
    floor, parts = HEIGHT - _BOTTOM, []
    for value in up.ticks():
        y = up(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick end" x="{_LEFT - 7}" y="{y + 4:.1f}">{vertical(value)}</text>'
        )
    marks = enumerate(map(str, names)) if names else ((t, _short(t)) for t in across.ticks())
    for value, text in marks:
        x = across(value)
        if not names:
            parts.append(f'<path class="axis" d="M{x:.1f} {floor}v4"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{floor + 18}">{text}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {floor}H{WIDTH - _RIGHT}"/>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="name mid" x="{middle}" y="{HEIGHT - 6}">{escape(xlabel)}</text>')
    parts.append(f'<text class="name" x="0" y="13">{escape(ylabel)}</text>')
    return "".join(parts)


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label={quoteattr(title)}>'
        + "".join(parts)
        + "</svg>"
    )
