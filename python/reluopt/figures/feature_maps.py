"""Feature maps: what a program computed, what the network does, and their difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reluopt.errors import InputError
from reluopt.figures.style import DIVERGING, DOUBLE_COLUMN, SHADES, new_figure, style
from reluopt.figures.tiles import RIGHT, Tiles, draw_title, name_rows, tile_axes
from reluopt.images.display import full_scale
from reluopt.numerics.arrays import FloatArray

_ROWS = ("program", "network", "difference")
_COLUMNS = 12


@style()
def feature_map_figure(computed: Sequence[FloatArray], true: Sequence[FloatArray]) -> Figure:
    """One column for each map; every layer has its own shade for its largest value.

    Args:
        computed: for each layer what the program says, shape ``(channels, height, width)``.
        true: the same of the network.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches; the scale is that of the differences.

    Raises:
        InputError: no layers, or shapes that differ.
    """
    shapes = [each.shape for each in computed], [each.shape for each in true]
    if not computed or shapes[0] != shapes[1] or any(len(shape) != 3 for shape in shapes[0]):
        raise InputError(f"figure: expected maps of the same shapes, found {shapes}")
    pairs = list(zip(computed, true, strict=True))
    maps = [(k, c) for k, layer in enumerate(true, start=1) for c in range(len(layer))]
    stack = np.zeros((len(maps), *true[0].shape[1:]))
    tiles = Tiles.fitting(stack, _COLUMNS, DOUBLE_COLUMN, rows=3, lines=(1, 0), right=RIGHT)
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    scale = full_scale(max(float(np.abs(own - other).max()) for own, other in pairs))
    for index, (layer, channel) in enumerate(maps):
        own, other = (each[channel] for each in pairs[layer - 1])
        top = float(true[layer - 1].max()) or 1.0
        for row, values in enumerate((own, other)):
            axes = tile_axes(figure, tiles, index, row)
            axes.imshow(values, cmap=SHADES, vmin=0.0, vmax=top, aspect="auto")
        axes = tile_axes(figure, tiles, index, len(_ROWS) - 1)
        axes.imshow(own - other, cmap=DIVERGING, vmin=-scale, vmax=scale, aspect="auto")
        draw_title(figure, tiles, index, f"{layer}.{channel + 1}", "")
    name_rows(figure, tiles, _ROWS, [scale] * tiles.bands)
    return figure
