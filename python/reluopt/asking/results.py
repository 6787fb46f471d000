"""What came out, for one input or a batch: numbers, images in the shape they came in, looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from reluopt.answers.solution import Solution, Status
from reluopt.asking.given import Inputs
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm
from reluopt.runs.wording import change_words

if TYPE_CHECKING:  # they take their time to load
    import pandas as pd
    from matplotlib.figure import Figure

_TOLD = ("distance", "bound", "certified", "proven")

ResultT = TypeVar("ResultT", bound="Result")


class _Looks:
    """What one result and several have in common."""

    def _shown(self) -> Sequence[Result]:
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """A row for each input, with the columns of :meth:`Result.to_dict`."""
        import pandas as pd

        return pd.DataFrame([each.to_dict() for each in self._shown()])

    def plot(self) -> Figure:
        """Originals, changed images and differences, or the features that changed.

        Raises:
            InputError: there is nothing to draw.
        """
        from reluopt.asking.looks import figure

        return figure(self._shown())

    def _repr_html_(self) -> str:
        from reluopt.asking.looks import page

        return page(self._shown(), self.to_frame())


@dataclass(frozen=True, eq=False, repr=False)
class Result(_Looks):
    """The checked answer for one input.

    Attributes:
        network: the network that was asked about.
        label: the label d of the input.
        solution: all that is known of the answer, in float64 and flat.
        inputs: what was asked about, and how it came.
        place: which of them this is.
        norm: how changes are measured.
        eps: radius of the ball, in the norm's unit; infinite without one.
    """

    network: ReLUNetwork
    label: int
    solution: Solution
    inputs: Inputs
    place: int
    norm: Norm
    eps: float = math.inf

    @property
    def status(self) -> Status:
        """How the solve ended."""
        return self.solution.status

    @property
    def proven(self) -> bool:
        """Whether the question is settled."""
        return self.solution.proven

    @property
    def certified(self) -> bool:
        """Whether the answer passed every check, and :attr:`image` is answered as asked.

        The checks are those of the answer in float64; a margin may miss the last digits of an image
        that is given back in float32.
        """
        after = self.after
        if after is None or not self.solution.certified:
            return False
        return self._keeps(self.network.forward(after))

    def _keeps(self, logits: FloatArray) -> bool:
        """Whether what was asked for still holds after rounding to the kind of the input."""
        return bool(np.isfinite(logits).all())

    @property
    def distance(self) -> float:
        """Length of the change to :attr:`image` (L2: no square); infinite without an image."""
        found = self.solution.certificate
        return math.inf if found is None else found.distance

    @property
    def bound(self) -> float:
        """What is proven of the optimum."""
        return self.solution.bound

    @property
    def before(self) -> FloatArray:
        """The input, shape ``(n_0,)``."""
        flat: FloatArray = self.inputs.flat[self.place]
        return flat

    @cached_property
    def after(self) -> FloatArray | None:
        """The numbers of :attr:`image`, shape ``(n_0,)``."""
        found = self.solution.image
        return None if found is None else self.inputs.rounded(found[None], [self.place])[0]

    @property
    def image(self) -> Any:
        """The answer in the shape and kind of the input, or None.

        float32 stays float32, everything else is float64; tensors are on the device of the input.
        """
        return None if self.after is None else self.inputs.back(self.after[None])[0]

    @property
    def original_predicted(self) -> int:
        """What the network answers to the input."""
        return int(self.network.predict(self.before))

    @property
    def predicted(self) -> int | None:
        """What the network answers to :attr:`image`."""
        return None if self.after is None else int(self.network.predict(self.after))

    @property
    def change(self) -> str:
        """What the network answers before and after, such as ``7 → 2``; else the label."""
        if self.after is None:
            return f"label {self.label}"
        return change_words(self.label, self.original_predicted, self.predicted)

    def to_dict(self) -> dict[str, Any]:
        """Numbers and words, without images."""
        numbers = {
            "label": self.label,
            "original_predicted": self.original_predicted,
            "predicted": self.predicted,
            "target": self.solution.target,
            "norm": str(self.norm),
            **self._own(),
        }
        numbers |= {name: getattr(self, name) for name in _TOLD}
        told = {name: getattr(self.solution, name) for name in ("engine", "nodes", "message")}
        return {
            **numbers,
            "status": str(self.status),
            "seconds": self.solution.timings.total,
            **told,
        }

    def _own(self) -> dict[str, float]:
        """What this kind of answer has besides."""
        return {"eps": self.eps}

    def _shown(self) -> Sequence[Result]:
        return [self]

    def __repr__(self) -> str:
        numbers = {**self._own(), "distance": self.distance, "bound": self.bound}
        told = [f"{name} {value:.6g}" for name, value in numbers.items() if math.isfinite(value)]
        checked = "certified" if self.certified else "not certified"
        words = (self.change, str(self.norm), *told, str(self.status), checked)
        return f"{type(self).__name__}({', '.join(words)})"


class NearestResult(Result):
    """A nearest image that is answered as asked; ``bound`` is one on ``distance``, from below.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> found = ro.nearest("thesis", seven, norm="l2")
        >>> round(found.distance, 4), found.predicted, found.image.shape
        (0.5754, 3, (28, 28))
    """

    @property
    def distance(self) -> float:
        """Length of the change (L2: no square), an upper bound; infinite without an image."""
        return self.norm.distance_of(self.solution.objective)

    @property
    def bound(self) -> float:
        """No image that is answered as asked is nearer."""
        return self.norm.distance_of(max(self.solution.bound, 0.0))

    def _own(self) -> dict[str, float]:
        return {}

    def _keeps(self, logits: FloatArray) -> bool:
        return int(np.argmax(logits)) == self.solution.target


class VerificationResult(Result):
    """A verdict on a ball; ``image`` is a witness, ``bound`` one on any other label's lead.

    Example:
        >>> import reluopt as ro
        >>> verdict = ro.verify("thesis", ro.load_images("test").image(0), eps=0.05)
        >>> verdict.robust, verdict.predicted, round(verdict.distance, 4) <= 0.05  # a witness
        (False, 3, True)
    """

    @property
    def robust(self) -> bool | None:
        """True with a proof, False with a checked witness, None if undecided."""
        return {Status.ROBUST: True, Status.NOT_ROBUST: False}.get(self.status)

    @property
    def certified(self) -> bool:
        """Whether there is a proof, or :attr:`image`, as it is given back, passed every check."""
        return self.status is Status.ROBUST or super().certified

    def _keeps(self, logits: FloatArray) -> bool:
        return bool(np.delete(logits, self.label).max() >= logits[self.label])


class WorstCaseResult(Result):
    """The largest lead of a wrong label over a ball; ``bound`` is one on it, from above.

    Example:
        >>> import reluopt as ro
        >>> worst = ro.worst_case("thesis", ro.load_images("test").image(0), eps=0.02)
        >>> round(worst.lead, 4), round(worst.bound, 4), worst.change
        (-2.2811, -2.2811, '7 → 7')
    """

    @property
    def lead(self) -> float:
        """Logit of the best wrong label minus that of the label, at :attr:`image`."""
        return self.solution.objective

    def _own(self) -> dict[str, float]:
        return {"eps": self.eps, "lead": self.lead}


class Results(_Looks, Sequence[ResultT]):
    """Results of a batch, in its order.

    Example:
        >>> import reluopt as ro
        >>> found = ro.nearest("thesis", ro.load_images("test").images[:2], norm="l2")
        >>> len(found), [each.change for each in found]
        (2, ['7 → 3', '2 → 3'])
        >>> found.to_frame().shape
        (2, 14)
    """

    def __init__(self, results: Sequence[ResultT]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, place: int) -> ResultT: ...
    @overload
    def __getitem__(self, place: slice) -> Results[ResultT]: ...
    def __getitem__(self, place: int | slice) -> ResultT | Results[ResultT]:
        found = self._results[place]
        return Results(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self._results)

    @property
    def images(self) -> list[Any]:
        """The answers, each in the shape and kind of its input, or None."""
        return [each.image for each in self]

    @property
    def distances(self) -> FloatArray:
        """Lengths of the changes, shape ``(batch,)``; infinite where there is no image."""
        return np.array([each.distance for each in self])

    def to_dict(self) -> list[dict[str, Any]]:
        """Numbers and words of each, as :meth:`Result.to_dict` has them."""
        return [each.to_dict() for each in self]

    def __repr__(self) -> str:
        return "\n".join([f"{len(self)} results", *(f"  {each!r}" for each in self)])

    def _shown(self) -> Sequence[Result]:
        return self
