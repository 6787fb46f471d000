"""Three lines: the nearest image, a verdict, a worst case, of one input or a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict, Unpack

from numpy.typing import ArrayLike

from reluopt.asking.given import Inputs, as_method, as_network, chosen, labels_of, number
from reluopt.asking.results import (
    NearestResult,
    Results,
    ResultT,
    VerificationResult,
    WorstCaseResult,
)
from reluopt.errors import InputError, shown
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Margin,
    MinimalPerturbation,
    Norm,
    Question,
    Target,
    Verification,
    WorstCase,
)


class How(TypedDict, total=False):
    """Settings of every question.

    Attributes:
        box: lower and upper bounds of the inputs, two numbers or arrays of shape ``(n_0,)``; None
            means those of the network, [0, 1] for images.
        engine: ``"auto"``, or ``engine[:formulation[:bounds]]``.
        time_limit: seconds for each input, 60 unless told.
        threads: of the engine, 1 unless told.
    """

    box: Any
    engine: str
    time_limit: float
    threads: int


def known_settings(how: How) -> How:
    """These settings.

    Raises:
        InputError: one is called otherwise than any of :class:`How`.
    """
    for name in how:
        if name not in How.__annotations__:
            known = ", ".join(How.__annotations__)
            raise InputError(f"settings: expected {known}, found {shown(name)}")
    return how


def nearest(
    network: Any,
    x: Any,
    norm: str | float | Norm = "l2",
    target: int | str | Target = "any",
    margin: str | Margin = "x1",
    *,
    label: ArrayLike | None = None,
    **how: Unpack[How],
) -> NearestResult | Results[NearestResult]:
    """The smallest change that makes a network answer another label, proven and checked.

    Args:
        network: a network, a bundled name, a file, or a PyTorch, Keras or scikit-learn model.
        x: one input or a batch, arrays or tensors, flat or in the network's shape, in the units of
            the data (pixels in [0, 1]).
        norm: what is smallest: ``"l1"``, ``"l2"``, ``"linf"`` or ``"blend:0.5"``.
        target: a label, ``"+5"``, ``"runner-up"``, or ``"any"`` other than ``label``.
        margin: by how much its logit must lead: ``"x1"`` (by 0.0001), ``"x1.2"``, ``"+0.1"``.
        label: the true label of each input; None means what the network answers.
        how: ``box``, ``engine``, ``time_limit`` and ``threads`` of :class:`How`.

    Returns:
        A result, or a sequence of them for a batch.

    Raises:
        InputError: something means nothing, or does not fit the network.
        UnsupportedProblemError: the engine cannot solve it.
        EngineUnavailableError: the engine is not usable on this machine.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> ro.nearest("thesis", seven, norm="l1")
        NearestResult(7 → 3, l1, distance 2.67963, bound 2.67963, OPTIMAL, certified)
    """
    measured, reached, lead = (
        chosen(what, given)
        for what, given in (("norm", norm), ("target", target), ("margin", margin))
    )

    def question(image: FloatArray, true: int, _: ReLUNetwork) -> Question:
        return MinimalPerturbation(image, true, reached, measured, lead)

    return _answers(partial(NearestResult, norm=measured), question, network, x, label, how)


def verify(
    network: Any,
    x: Any,
    eps: float,
    norm: str | float | Norm = "linf",
    *,
    label: ArrayLike | None = None,
    **how: Unpack[How],
) -> VerificationResult | Results[VerificationResult]:
    """Is every input within ``eps`` answered ``label``? A tie counts against it.

    ``eps`` is the radius of a ball in ``"l1"``, ``"l2"`` or ``"linf"``, in the norm's unit (L2: the
    length, not its square), cut by the box of inputs. Other arguments, what is returned and what is
    raised are those of :func:`nearest`.

    Example:
        >>> import reluopt as ro
        >>> verdict = ro.verify("thesis", ro.load_images("test").image(0), eps=0.01)
        >>> verdict.robust, verdict.status
        (True, <Status.ROBUST: 'ROBUST'>)
    """
    measured, radius = chosen("norm", norm), float(number("eps", eps))

    def question(image: FloatArray, true: int, _: ReLUNetwork) -> Question:
        return Verification(image, true, radius, measured)

    made = partial(VerificationResult, norm=measured, eps=radius)
    return _answers(made, question, network, x, label, how)


def worst_case(
    network: Any,
    x: Any,
    eps: float,
    norm: str | float | Norm = "linf",
    target: int | str | Target = "any",
    *,
    label: ArrayLike | None = None,
    **how: Unpack[How],
) -> WorstCaseResult | Results[WorstCaseResult]:
    """The largest lead of a wrong label, or of ``target`` alone, over the ball of radius ``eps``.

    Arguments, what is returned and what is raised are those of :func:`verify` and :func:`nearest`.

    Example:
        >>> import reluopt as ro
        >>> worst = ro.worst_case("thesis", ro.load_images("test").image(0), eps=0.01)
        >>> round(worst.lead, 4), worst.proven
        (-3.816, True)
    """
    measured, reached = chosen("norm", norm), chosen("target", target)
    radius = float(number("eps", eps))

    def question(image: FloatArray, true: int, network: ReLUNetwork) -> Question:
        labels = reached.candidates(true, network.forward(image))
        if 1 < len(labels) < network.output_size - 1:
            raise InputError(f"target: expected one label or all others, found {len(labels)}")
        return WorstCase(
            image, true, radius, measured, target=labels[0] if len(labels) == 1 else None
        )

    made = partial(WorstCaseResult, norm=measured, eps=radius)
    return _answers(made, question, network, x, label, how)


def _answers(
    made: Callable[..., ResultT],
    question: Callable[[FloatArray, int, ReLUNetwork], Question],
    model: Any,
    x: Any,
    label: Any,
    how: How,
) -> ResultT | Results[ResultT]:
    """Solve for each input; what does not fit is refused before the first is solved."""
    how = known_settings(how)
    limits = how.get("time_limit", 60.0), how.get("threads", 1)
    method = as_method(how.get("engine", "auto"), *limits)
    network = as_network(model, x, how.get("box"))
    inputs = Inputs.read(network, x)
    inputs.refuse_outside(network)
    labels, asked = labels_of(network, label, inputs), []
    for place, (image, true) in enumerate(zip(inputs.flat, labels, strict=True)):
        try:
            asked.append(question(image, true, network))
            asked[-1].task(network)
        except InputError as error:
            raise InputError(str(error) if inputs.single else f"x[{place}]: {error}") from error
    results = [
        made(network, true, solution=solve(network, each, method), inputs=inputs, place=place)
        for place, (true, each) in enumerate(zip(labels, asked, strict=True))
    ]
    return results[0] if inputs.single else Results(results)
