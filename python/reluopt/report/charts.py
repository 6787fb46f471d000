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
from reluopt.report.anytime import Curve, ends
from reluopt.report.kinds.verdicts import robust_error
from reluopt.report.runs import Entry, Run, radii, series
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
        lines: values by name and whether they are dashed, as points of a line.
        bands: what lies between two lines, as points of a polygon, by name.
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
    lines: Sequence[tuple[str, bool, Sequence[tuple[float, float]]]] = ()
    bands: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    points: Sequence[tuple[float, float, str, bool]] = ()
    bars: Sequence[tuple[float, float]] = ()

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """Points as an SVG path."""
        return "M" + "L".join(f"{self.across(x):.1f} {self.up(y):.1f}" for x, y in points)

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
    makers = (_error_chart, _proof_chart, _label_chart, _distance_chart)
    drawn = [make(runs) for make in makers]
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
    words = " or ".join(dict.fromkeys(run.kind.word for run in runs))
    caption = f"How many instances were {words} within a given time."
    if len(curves) > 1:
        caption += " Only images that all runs share count."
    xlabel = "seconds for one instance (logarithmic)"
    title = f"{words.capitalize()} within"
    return _steps_chart(title, caption, curves, across, xlabel, f"share {words}")


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


def _error_chart(runs: Sequence[Run]) -> Chart | None:
    """Both bounds on the robust error against the radius, for verdicts over several radii."""
    lines, bands = [], {}
    for run in [run for run in runs if run.kind.banded][:MAX_SERIES]:
        found = []
        for eps in radii([run]):
            statuses = [str(row["status"]) for row in run.rows if row.get("eps") == eps]
            found.append((eps, *robust_error(statuses)))
        low = [(eps, least) for eps, least, _ in found]
        high = [(eps, most) for eps, _, most in found]
        lines += [(run.name, False, high), (run.name, True, low)]
        bands[run.name] = [*high, *low[::-1]]
    largest = max(radii(runs), default=0.0)
    if len(radii(runs)) < 2 or not bands:
        return None
    return Chart(
        title="Robust error",
        caption="Share of images that are not robust, against the radius: at most the solid line "
        "(not proven robust) and at least the dashed one (a checked input is answered otherwise). "
        "Where they meet, the robust error is exact.",
        across=_Axis(0.0, 1.03 * largest, _LEFT, WIDTH - _RIGHT),
        up=_Axis(0.0, 1.0, HEIGHT - _BOTTOM, _TOP, shares=True),
        xlabel="radius of the ball",
        ylabel="robust error",
        shown="robust error against the radius",
        names=tuple(bands),
        lines=lines,
        bands=bands,
    )


FIRST_MOMENT = 1e-3
"""Anytime curves begin here, in seconds: their axis is logarithmic."""


def anytime_chart(curves: Sequence[Curve]) -> Chart | None:
    """Incumbents and proven bounds against time; None without a curve."""
    shown = curves[:MAX_SERIES]
    if not shown:
        return None
    first, last, top = ends(shown, FIRST_MOMENT)
    names = [curve.name for curve in shown]
    lines: list[tuple[str, bool, Sequence[tuple[float, float]]]] = []
    bands = {}
    for name, curve in zip(names, shown, strict=True):
        above, below = (curve.steps(column, first) for column in (1, 2))
        lines += [(name, dashed, each) for dashed, each in ((False, above), (True, below)) if each]
        inner = [(x, y) for x, y in below if above and x >= above[0][0]]
        bands[name] = [*above, *inner[::-1]]
    return Chart(
        title="What was known when",
        caption="The best checked answer (solid) and the proven bound (dashed) against the time "
        "that the search had; between them lies the optimum.",
        across=_Axis(first, 1.1 * last, _LEFT, WIDTH - _RIGHT, logarithmic=True),
        up=_Axis(0.0, 1.08 * top, HEIGHT - _BOTTOM, _TOP),
        xlabel="seconds (logarithmic)",
        ylabel="objective",
        shown="incumbent and bound against time",
        names=names,
        lines=lines,
        bands={name: band for name, band in bands.items() if band},
    )


def _measured(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with a checked image; a damaged one may lack its distance."""
    return [each for each in entries if each.checked and math.isfinite(each.value)]


def _distance_chart(runs: Sequence[Run]) -> Chart | None:
    """Share of instances with a change of at most some length, for several runs of one norm."""
    norms = {run.norm for run in runs}
    found = _comparable(runs)
    distances = all(run.kind.distances for run in runs)
    if len(norms) > 1 or None in norms or len(found) < 2 or not distances:
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
    if others or run.norm is None or not run.kind.distances:
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
