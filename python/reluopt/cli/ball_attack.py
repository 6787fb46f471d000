"""``reluopt attack --method``: attacks within a ball, and the accuracy that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reluopt.attacks.methods import METHODS
from reluopt.cli import options
from reluopt.cli.console import norm_title, number, say, tell
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.runs.ball_attack import BallAttackJob
    from reluopt.runs.row import BallAttackRow

ATTACKED = ("true", "predicted")
"""Labels that may be attacked."""


@dataclass(frozen=True)
class BallAttackOptions:
    """An attack within a ball."""

    method: Annotated[
        str | None,
        typer.Option(
            help=f"Attack within a ball instead, without proof: {', '.join(METHODS.names)}."
        ),
    ] = None
    eps: Annotated[
        float | None,
        typer.Option(help="--method: radius of the ball (of --norm, linf unless told)."),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(help="--method: gradient steps (lippa: to the next linear region)."),
    ] = None
    step_size: Annotated[
        float | None, typer.Option(help="--method: length of a step, in pixel units.")
    ] = None
    restarts: Annotated[int | None, typer.Option(help="--method pgd: random starts.")] = None
    regions: Annotated[
        int | None, typer.Option(help="--method lippa: most linear regions for an image.")
    ] = None
    clip: Annotated[
        bool, typer.Option("--clip/--no-clip", help="--method: whether inputs stay in their box.")
    ] = True
    attacked: Annotated[
        str, typer.Option(help=f"--method: label to be missed, {' or '.join(ATTACKED)}.")
    ] = ATTACKED[0]
    float32: Annotated[
        bool,
        typer.Option(
            "--float32", help="--method: compute the loss in float32, as published attacks did."
        ),
    ] = False


_OWN = {each.name for each in fields(BallAttackOptions)}
_SETTINGS = {"steps", "step_size", "restarts", "regions", "seed", "time_limit"}
_SHARED = {"network_name", "images", "label", "norm", *_SETTINGS} | {
    each.name for group in (options.LoadingOptions, options.RunOptions) for each in fields(group)
}


def refuse_mixed(ctx: typer.Context, ball: BallAttackOptions) -> bool:
    """Whether a ball is attacked.

    Raises:
        InputError: an option is given that only the other kind of attack has.
    """
    by_method = ball.method is not None
    for name in _given(ctx):
        known = name in _OWN | _SHARED if by_method else name not in _OWN
        if not known:
            where = "without" if by_method else "with"
            found = "both" if by_method else "it alone"
            raise InputError(
                f"--{name.replace('_', '-')}: expected {where} --method, found {found}"
            )
    return by_method


def attack_within_ball(
    ctx: typer.Context,
    network_name: str,
    images: Sequence[str],
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    ball: BallAttackOptions,
    label: int | None,
) -> None:
    """Attack images by a method and tell what accuracy is left.

    Raises:
        InputError: an option, the network or an image does not fit.
    """
    from reluopt.attacks.methods.base import parse_method
    from reluopt.questions.problems import parse_norm

    given = {name: ctx.params[name] for name in _given(ctx)}
    settings = {name: value for name, value in given.items() if name in _SETTINGS}
    method = parse_method(str(ball.method), **settings)
    norm = parse_norm(given.get("norm", "linf"))
    if ball.attacked not in ATTACKED:
        known = " or ".join(ATTACKED)
        raise InputError(f"--attacked: expected {known}, found {shown_text(repr(ball.attacked))}")
    if ball.eps is None:
        raise InputError("--eps: expected the radius of the ball with --method, found none")
    network = loading.open(network_name)

    from reluopt.cli.runs import chosen_instances, run_units
    from reluopt.runs.ball_attack import Attacked, BallAttackJob

    how = (ball.clip, Attacked(ball.attacked), ball.float32, network_name)
    job = BallAttackJob(network, method, ball.eps, norm, *how)
    instances = chosen_instances(network, images, asked, label)
    job.check(instances)
    finished = run_units(f"attack by {method.name}", job, instances, asked)
    _report(job, [result.row for result in finished], tell if asked.jsonl else say)


def _given(ctx: typer.Context) -> list[str]:
    """Parameters that stand on the command line."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _report(job: BallAttackJob, rows: Sequence[BallAttackRow], report: Any) -> None:
    """What was attacked and how, and what is left."""
    from reluopt.runs.ball_attack import accuracies

    given = {name: each for name, each in job.attack.settings.items() if each is not None}
    settings = ", ".join(f"{name} {each:g}" for name, each in given.items())
    what = "pixels" if job.network.metadata.input_box is None else "inputs"
    box = "[0, 1]" if job.network.metadata.input_box is None else "their box"
    report(
        f"{shown_text(job.network.metadata.name)}: {job.attack.name}"
        f"{f' ({settings})' if settings else ''} within {job.eps:g} in the {norm_title(job.norm)}; "
        f"{what} {'stay in' if job.clip else 'may leave'} {box}, the {job.attacked} label is "
        f"attacked, a tie counts as fooled{', loss in float32' if job.float32 else ''}"
    )
    for row in rows:
        if row.message:
            tell(f"{row.image}: {row.message}")
    answered = [row for row in rows if row.predicted is not None]
    if not answered:
        report(f"no image of {len(rows)} could be attacked")
        return
    found = accuracies(answered)
    report(
        f"accuracy {100.0 * found.clean:.2f} % clean, {100.0 * found.attacked:.2f} % attacked, on "
        f"{found.images} images; {100.0 * found.fooled:.2f} % of them fooled, each checked by a "
        "float64 forward pass"
    )
    report(
        f"seconds an image: {number(found.seconds_failed, '.3g')} failed, "
        f"{number(found.seconds_fooled, '.3g')} successful"
    )
