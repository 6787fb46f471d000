"""How much of a change can be seen: simple measures of the difference between two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from reluopt.errors import InputError
from reluopt.numerics.arrays import BoolArray, FloatArray

VISIBLE_CHANGE = 0.05
"""Change of a pixel that counts: 13 of 255 grey levels. Smaller ones are hard to see beside the
strokes of a digit."""

_SIGMA, _TRUNCATE = 1.5, 3.5
"""Gaussian window of 11 x 11 pixels, as in Wang et al. (2004)."""

_C1, _C2 = 0.01**2, 0.03**2
"""Their constants (K1 L)^2 and (K2 L)^2 for pixels in [0, 1]."""


@dataclass(frozen=True)
class Visibility:
    """What a change looks like.

    Attributes:
        changed: pixels changed by more than :data:`VISIBLE_CHANGE`.
        largest: largest change of a pixel, in [0, 1].
        mean: mean absolute change over all pixels.
        black_share: share of the sum of absolute changes that lies on pixels which are black in
            every image of the data; light there cannot be part of a digit (0 without a change).
        similarity: :func:`structural_similarity` of the two images.
    """

    changed: int
    largest: float
    mean: float
    black_share: float
    similarity: float


def visibility(original: FloatArray, changed: FloatArray, black: BoolArray) -> Visibility:
    """Norm the change from one image to another.

    Args:
        original: shape ``(height, width)``, pixels in [0, 1].
        changed: the same shape.
        black: the same shape, see :func:`always_black`.

    Raises:
        InputError: shapes differ.
    """
    if not original.ndim == 2 or not original.shape == changed.shape == black.shape:
        raise InputError(
            f"visibility: expected three arrays of one shape (height, width), found "
            f"{original.shape}, {changed.shape} and {black.shape}"
        )
    size = np.abs(changed - original)
    total = float(size.sum())
    return Visibility(
        changed=int((size > VISIBLE_CHANGE).sum()),
        largest=float(size.max()),
        mean=float(size.mean()),
        black_share=float(size[black].sum()) / total if total > 0.0 else 0.0,
        similarity=structural_similarity(original, changed),
    )


def always_black(images: NDArray[Any]) -> BoolArray:
    """Which pixels are 0 in every image of ``(n, height, width)``; for MNIST, a frame."""
    black: BoolArray = (images == 0).all(axis=0)
    return black


def structural_similarity(first: FloatArray, second: FloatArray) -> float:
    r"""Mean structural similarity (SSIM) of two images with pixels in [0, 1].

    .. math:: \frac{(2 \mu_a \mu_b + C_1)(2 \sigma_{ab} + C_2)}
                   {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}

    with Gaussian weights of sigma 1.5 around each pixel, mirrored at the border and averaged over
    all pixels (Wang, Bovik, Sheikh and Simoncelli, *Image quality assessment*, IEEE Transactions
    on Image Processing 13, 2004). 1 means equal. Large areas that are black in both images count
    as equal, so values of digits are high.

    Args:
        first: shape ``(height, width)``.
        second: the same shape.
    """
    mean_a, mean_b = _local_mean(first), _local_mean(second)
    var_a = _local_mean(first * first) - mean_a**2
    var_b = _local_mean(second * second) - mean_b**2
    covariance = _local_mean(first * second) - mean_a * mean_b
    above = (2.0 * mean_a * mean_b + _C1) * (2.0 * covariance + _C2)
    below = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return float((above / below).mean())


def _local_mean(image: FloatArray) -> FloatArray:
    """Gaussian mean around each pixel."""
    mean: FloatArray = gaussian_filter(image, _SIGMA, truncate=_TRUNCATE)
    return mean
