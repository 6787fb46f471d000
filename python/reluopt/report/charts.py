"""Two charts of a report as SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reluopt.numerics.arrays import FloatArray
from reluopt.report.runs import Entry, Run, series
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


@cache
def environment() -> Environment:
    """Templates that escape everything and refuse unknown names."""
    made = Environment(
        loader=PackageLoader("reluopt.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"form": format, "markup": Markup}
    return made


@dataclass(frozen=True)
class Chart:
    """A chart with its heading and a sentence that says how to read it.

    Attributes:
        title: the heading.
        caption: the sentence.
        across, up: its axes.
        xlabel, ylabel: what they measure.
        marks: places along the bottom and their names; ``ticks`` of the axis if empty.
        names: curves that need a key.
        curves: cumulative values by name, and out of how many.
        points: images, each with its place across, its row, and whether it is proven.
        bars: places across and values of medians.
        shown: the chart in words, for who cannot see it.
    """

    title: str
    caption: str
    across: _Axis
    up: _Axis
    xlabel: str
    ylabel: str
    shown: str
    names: Sequence[str] = ()
    marks: Sequence[tuple[float, str]] = ()
    curves: Mapping[str, tuple[Sequence[float], int]] = field(default_factory=dict)
    points: Sequence[tuple[float, float, str, bool]] = ()
    bars: Sequence[tuple[float, float]] = ()

    @property
    def svg(self) -> str:
        """The picture, in the colours and fonts of the page around it."""
        template = environment().get_template("chart.svg.j2")
        radius = 3.0 if len(self.points) <= MANY_POINTS else 2.0
        return template.render(chart=self, width=WIDTH, height=HEIGHT, radius=radius, half=_BAR)


@dataclass(frozen=True)
class _Axis:
    """Where values lie between two ends, in the chart's units; shares are told in per cent."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    shares: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values inside."""
        return _decades(self.low, self.high) if self.logarithmic else _steps(self.low, self.high)

    def text(self, value: float) -> str:
        """A value at its tick."""
        return f"{100 * value:.0f} %" if self.shares else f"{value:.6g}"


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


def _comparable(runs: Sequence[Run]) -> dict[str, list[Entry]]:
    """Rows of the images that all series share; all rows where they share none."""
    shared = set(shared_images(runs))
    found = {}
    for name, entries in list(series(runs).items())[:MAX_SERIES]:
        found[name] = [each for each in entries if each.image in shared] or entries
    return found


def _proof_chart(runs: Sequence[Run]) -> Chart | None:
    """Share of instances proven against time."""
    curves = {}
    for name, entries in _comparable(runs).items():
        times = sorted(each.seconds for each in entries if each.proven)
        curves[name] = ([max(t, 1e-3) for t in times if math.isfinite(t)], len(entries))
    every = [time for times, _ in curves.values() for time in times]
    if len(every) < 2:
        return None
    across = _Axis(*_around(min(every), max(every)), _LEFT, WIDTH - _RIGHT, logarithmic=True)
    caption = "How many instances were settled with proof within a given time."
    if len(curves) > 1:
        caption += " Only images that all runs share count."
    xlabel = "seconds for one instance (logarithmic)"
    return _steps_chart("Proven within", caption, curves, across, xlabel, "share proven")


def _steps_chart(
    title: str,
    caption: str,
    curves: Mapping[str, tuple[list[float], int]],
    across: _Axis,
    xlabel: str,
    ylabel: str,
) -> Chart:
    """Cumulative shares as steps."""
    up = _Axis(0.0, 1.0, HEIGHT - _BOTTOM, _TOP, shares=True)
    shown = f"{ylabel} against {xlabel}"
    names = tuple(curves)
    return Chart(title, caption, across, up, xlabel, ylabel, shown, names, curves=curves)


def _measured(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with a checked image; a damaged one may lack its distance."""
    return [each for each in entries if each.checked and math.isfinite(each.value)]


def _distance_chart(runs: Sequence[Run]) -> Chart | None:
    """Share of instances with a change of at most some length, for several runs of one norm."""
    norms = {run.norm for run in runs}
    found = _comparable(runs)
    if len(norms) > 1 or None in norms or len(found) < 2:
        return None
    curves = {}
    for name, entries in found.items():
        values = sorted(each.value for each in _measured(entries))
        curves[name] = (values, len(entries))
    largest = max((values[-1] for values, _ in curves.values() if values), default=0.0)
    if largest <= 0.0:
        return None
    across = _Axis(0.0, 1.03 * largest, _LEFT, WIDTH - _RIGHT)
    name = next(norm for norm in norms if norm is not None).label
    caption = (
        "How many instances have a checked adversarial image within a given distance. Where not "
        "all answers are proven smallest, the true curve lies further to the left."
    )
    xlabel = f"{name} distance"
    return _steps_chart("Distances", caption, curves, across, xlabel, "share of instances")


def _label_chart(runs: Sequence[Run]) -> Chart | None:
    """Distance by true label, for a single run."""
    run = runs[0]
    first, *others = series(runs).values()
    if others or run.norm is None:
        return None
    shown = [each for each in _measured(first) if math.isfinite(each.label)]
    if len(shown) < 2:
        return None
    by_label: dict[int, list[Entry]] = {}
    for each in shown:
        by_label.setdefault(int(each.label), []).append(each)
    labels = sorted(by_label)
    top = 1.05 * max(each.value for each in shown)
    if top <= 0.0:
        return None
    points, bars = [], []
    for place, label in enumerate(labels):
        own = by_label[label]
        bars.append((place, float(np.median([each.value for each in own]))))
        places = (place + _offsets(len(own))).tolist()
        points += [
            (x, each.value, f"{each.image}: {each.value:.4g}", each.proven)
            for x, each in zip(places, own, strict=True)
        ]
    hollow = "" if all(each.proven for each in shown) else " Hollow: not proven smallest."
    name = run.norm.label
    return Chart(
        title="Distance by label",
        caption=f"Each point is an image, each bar the median of a label.{hollow}",
        across=_Axis(-0.6, len(labels) - 0.4, _LEFT, WIDTH - _RIGHT),
        up=_Axis(0.0, top, HEIGHT - _BOTTOM, _TOP),
        xlabel="true label",
        ylabel=f"{name} distance",
        shown=f"{name} distance by true label",
        marks=[(place, str(label)) for place, label in enumerate(labels)],
        points=points,
        bars=bars,
    )


def _offsets(count: int) -> FloatArray:
    """A spread without clumps around 0: the golden ratio's multiples modulo 1, and their mean 0."""
    spread = (2.0 * (np.arange(count) * 0.618034 % 1.0) - 1.0) * _JITTER
    return np.asarray(spread - spread.mean())


def _around(low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithmic axis with room on both sides."""
    margin = max((high / low) ** 0.05, 1.15)
    return low / margin, high * margin
