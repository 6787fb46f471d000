"""Boxes and L1 balls: dual bounds of many nodes at once, in float32, closed with outward rounding.

:mod:`domains` are the boxes and balls, :mod:`chain` is a network over one, :mod:`certificate` what
is proven about it, :mod:`ascent` how multipliers are found (its loops are :mod:`climbing`,
:mod:`slots` and :mod:`products`), :mod:`planes`, :mod:`vertices` and :mod:`cutting` what helps
triangles, :mod:`tree`, :mod:`branching`, :mod:`fan` and :mod:`leaves` the search, :mod:`verdict`
its order, :mod:`engine`, :mod:`linf` (by :mod:`distance`, :mod:`growing` and :mod:`excluded`) and
:mod:`within_ball` its tasks. :mod:`deciding` chooses whether a box is
searched so or by envelopes (:mod:`enveloped`). Linear programs of leaves and linear
regions are solved by :mod:`few_rows`.
"""

_HERE = "engines.branch_and_bound.dual."

_EVERYWHERE = (
    "certificate:add_planes_safely",
    "certificate:relax_safely",
    "climbing:ascend",
    "few_rows:minimise",
    "kernels:first_layer_children",
    "kernels:scores",
    "slots:children",
    "slots:descend",
    "sparse:product",
)

_BOXES = (
    "gradients:dense_slacks",
    "gradients:move",
    "gradients:worst_conditions",
    "planes:add_hull_planes",
    "region:single_radii",
    "region:smallest_radius",
)

KERNELS = {
    "box": tuple(f"{_HERE}{name}" for name in (*_EVERYWHERE, *_BOXES)),
    "simplex": tuple(f"{_HERE}{name}" for name in (*_EVERYWHERE, "domains:simplex_reach")),
}
"""By domain; see :mod:`reluopt.numerics.sets`."""

COSTS = {
    f"{_HERE}climbing:ascend": 1.4,
    f"{_HERE}climbing:respond_all": 0.8,
    f"{_HERE}slots:descend_hidden": 1.0,
}
"""See :mod:`reluopt.numerics.sets`."""
