"""What is known of alternatives from larger sets about the same image.

Where an alternative is met nowhere within a radius it is met nowhere within a smaller one, so that
what follows a better incumbent, or smaller sets, are asked for the others alone. Linf's searches
keep it so; trees of L1 have proven bounds of each alternative, which say the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Excluded:
    """Radii within which alternatives are met by no input.

    Args:
        count: of alternatives.
    """

    def __init__(self, count: int) -> None:
        self._radius = np.full(count, -np.inf)

    def left(self, radius: float) -> list[int]:
        """Alternatives that may be met within a radius."""
        return [place for place, known in enumerate(self._radius.tolist()) if not known >= radius]

    def add(self, which: Iterable[int], radius: float) -> None:
        """Some are met nowhere within a radius."""
        for place in which:
            self._radius[place] = max(self._radius[place], radius)
