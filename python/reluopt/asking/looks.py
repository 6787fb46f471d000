"""How results look: a figure, and HTML for notebooks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import VERDICTS
from reluopt.errors import InputError
from reluopt.figures import feature_figure, perturbation_figure
from reluopt.figures.pictures import length_words
from reluopt.figures.style import INK
from reluopt.figures.tiles import proof_mark
from reluopt.images.display import as_picture, pixel_span

MOST_SHOWN = 20
"""Results of a batch that a notebook shows as pictures."""

RESOLUTION = 144
"""Dots per inch of these pictures."""


def figure(results: Sequence[Any]) -> Figure:
    """A column for each result: original, changed image, difference; features as their changes.

    Args:
        results: of one network and one norm.

    Raises:
        InputError: there is nothing to draw.
    """
    shown = [each for each in results if each.after is not None or _pictured(each)]
    if not shown:
        raise InputError("figure: expected results with images, found none")
    network, norm = shown[0].network, str(shown[0].norm)
    distances, proven = [each.distance for each in shown], [_proof(each) for each in shown]
    before, after = [each.before for each in shown], [each.after for each in shown]
    ends, shape = network.metadata.input_ends(), network.input_shape
    if not _pictured(shown[0]):
        lengths = [(length_words(norm, each), INK) for each in distances]
        captions = [[*pair] for pair in zip(lengths, map(proof_mark, proven), strict=True)]
        return feature_figure(after, before, ends, [each.change for each in shown], captions)
    return perturbation_figure(
        [each.reshape(shape) for each in before],
        [None if each is None else each.reshape(shape) for each in after],
        [each.label for each in shown],
        [each.original_predicted for each in shown],
        [each.predicted for each in shown],
        distances,
        norm,
        proven,
        class_names=network.class_names,
        span=pixel_span(*ends),
    )


def _pictured(result: Any) -> bool:
    """Whether inputs are pictures."""
    return as_picture(np.zeros(result.network.input_shape)) is not None


def _proof(result: Any) -> bool | float | str:
    """What is written below a picture."""
    if result.status in VERDICTS:
        return str(result.status).lower().replace("_", " ")
    return result.proven or float(result.solution.gap)


def page(results: Sequence[Any], table: pd.DataFrame) -> str:
    """The figure, and below it the numbers, in HTML."""
    drawn, buffer = "", io.BytesIO()
    if any(each.after is not None for each in results[:MOST_SHOWN]):
        figure(results[:MOST_SHOWN]).savefig(buffer, format="png", dpi=RESOLUTION)
        png = base64.b64encode(buffer.getvalue()).decode("ascii")
        drawn = f'<img src="data:image/png;base64,{png}" style="max-width: 100%">'
    told = [name for name in table if name != "message" or table[name].any()]
    return f"<div>{drawn}{table[told].to_html()}</div>"
