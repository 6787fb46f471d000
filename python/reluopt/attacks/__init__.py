"""Attacks: images that fool a network, found fast and without proof.

* :mod:`reluopt.attacks.gradient`: PGD, with the calling habits of Foolbox;
* :mod:`reluopt.attacks.start`: near images that meet linear conditions, in milliseconds;
* :mod:`reluopt.attacks.linear_regions`: the LP or QP of linear regions; the best of these attacks;
* :mod:`reluopt.attacks.methods`: attacks within a ball by name, for accuracy under attack.
"""

WALKS = (
    "attacks.descent:decoupled_steps",
    "attacks.descent:least_slack",
    "attacks.descent:walk",
    "numerics.passes:forward",
)
"""Kernels that walk towards a target, in every norm."""

PIXELS = (
    "attacks.descent:greedy_pixels",
    "attacks.descent:soft_gradient",
    "attacks.descent:undo_pixels",
)
"""Kernels that change few pixels, for L1."""

NEAREST = ("attacks.dual_newton:nearest_point",)
"""What finds the nearest point of a linear region in L2."""

KERNELS = {"attacks": (*WALKS, *PIXELS), "regions": NEAREST}
"""See :mod:`reluopt.numerics.sets`."""

COSTS = {
    "attacks.dual_newton:_newton_step": 3.7,
    "attacks.dual_newton:nearest_point": 2.5,
    "attacks.descent:decoupled_steps": 1.2,
}
"""See :mod:`reluopt.numerics.sets`."""
