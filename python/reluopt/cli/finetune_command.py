"""``reluopt finetune``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import output, tell
from reluopt.errors import InputError


@app.command()
@options.expanded
def finetune(
    network_name: options.NetworkName,
    loading: options.LoadingOptions,
    *,
    out: Annotated[Path, typer.Option(help="Weights file to write.")],
    points: Annotated[
        int, typer.Option(help="Adversarial images to be answered right, as many of every label.")
    ] = 10,
    images: Annotated[
        str, typer.Option(help="Training images, of which the worst are taken.")
    ] = "train:0-999",
    eps: Annotated[float, typer.Option(help="Largest change of a pixel in them.")] = 0.1,
    margin: Annotated[float, typer.Option(help="By how much their labels shall lead.")] = 0.0,
    iterations: Annotated[int, typer.Option(min=1, help="Quadratic programs, at most.")] = 20,
    omega: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Weight of the loss against that of wrong answers."),
    ] = 0.0,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Change weights as little as possible so that adversarial images are answered right.

    The loss on the images may not rise. Dense layers and convolutions.
    """
    import numpy as np

    from reluopt.attacks.adversaries import Steps, worst_adversaries
    from reluopt.networks.finetuning.correction import Examples, correct
    from reluopt.networks.finetuning.parameters import trained_layers
    from reluopt.networks.saving import save_network
    from reluopt.questions.verification import refuse_radius
    from reluopt.runs.instances import load_labelled

    options.refuse_existing("--out", out, force)
    refuse_radius(eps)
    if not 0.0 <= margin < math.inf:
        raise InputError(f"--margin: expected a finite number >= 0, found {margin}")
    network = loading.open(network_name)
    trained_layers(network)  # before anything takes its time
    given, labels = load_labelled(network, images, data_dir)
    pixels, labels = network.flat_inputs(given)[0], labels.astype(np.intp)
    attacked = Steps(eps, seed=seed)(network, pixels)
    worst = worst_adversaries(network, attacked, labels, points)
    made = correct(
        network,
        Examples(attacked[worst], labels[worst], margin),
        Examples(pixels, labels),
        iterations,
        on_progress=lambda number: tell(f"program {number} of at most {iterations}"),
    )
    chosen = made.chosen(omega)
    save_network(made.corrected(chosen), out)
    output.print(
        f"{out}: iteration {chosen.iteration}, {chosen.share:g} of its way; the worst of {points} "
        f"images is missed by {chosen.violation:.3g} (before: {made.before.violation:.3g}), loss "
        f"{chosen.loss:.4f} (before: {made.before.loss:.4f})"
    )
