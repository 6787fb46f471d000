"""How wrong can the network get within a ball?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Alternative, LargestSlack, LinearForm, Task, check_label
from reluopt.questions.verification import ball_of, misclassifications


@dataclass(frozen=True, eq=False)
class WorstCase:
    r"""The largest misclassification, or the largest logit of a class, over a ball cut by a box.

    Attributes:
        image: any shape that holds ``n_0`` values; kept flat.
        label: the true label d.
        eps: radius of the ball, in the norm's own unit (L2: the length, not its square).
        norm: L1, L2 or Linf, or its name.
        objective: None asks for the lead :math:`\max_t x_t - x_d` over all t but d; a label for
            its logit; a :class:`~reluopt.questions.tasks.LinearForm` for itself.
        target: of a lead the one label t that counts; None means all.
        fooled: None, or a share s: only inputs with :math:`x_d \le s\,x_k` for some label k count,
            the condition of the CTU assignment (2022), section 5, with s = 0.95.
        box: inputs allowed; None means those of the network, [0, 1] for images.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> worst = ro.solve(ro.load_network("thesis"), ro.WorstCase(seven, 7, eps=0.02))
        >>> round(worst.objective, 4)  # below zero: no other label leads
        -2.2811
    """

    image: ArrayLike
    label: int
    eps: float
    norm: Norm | str = Norm.LINF
    objective: int | LinearForm | None = None
    fooled: float | None = None
    target: int | None = None
    box: Box | None = None

    def task(self, network: ReLUNetwork) -> Task:
        """The form to be maximised over the ball.

        Raises:
            InputError: something does not fit the network, or a share is asked for without a form.
        """
        inputs = ball_of(network, self.image, self.eps, self.norm, self.box)
        others = misclassifications(network, self.label)
        form = self.objective
        if form is not None:
            if self.target is not None:
                raise InputError("target: expected without an objective, found both")
            form = form if isinstance(form, LinearForm) else LinearForm(((form, 1.0),))
            for label, _ in form.terms:
                check_label(network, label, "objective")
            return Task(form, inputs, self._conditions(network.output_size))
        if self.fooled is not None:
            raise InputError("fooled: expected with an objective to maximise, found none")
        if self.target is not None:
            check_label(network, self.target, "target")
            others = tuple(each for each in others if each.target == self.target)
            if not others:
                raise InputError(f"target: expected a label other than {self.label}, found it")
        return Task(LargestSlack(), inputs, others)

    def _conditions(self, classes: int) -> tuple[Alternative, ...]:
        """``s x_k - x_d >= 0``, an alternative for every label k."""
        if self.fooled is None:
            return ()
        if not (np.isfinite(self.fooled) and self.fooled >= 0.0):
            raise InputError(f"fooled: expected a share >= 0, found {self.fooled}")
        rows = self.fooled * np.eye(classes)
        rows[:, self.label] -= 1.0
        return tuple(
            Alternative(k, LogitConditions(rows[k : k + 1], np.zeros(1))) for k in range(classes)
        )
