"""``reluopt info``, ``train`` and ``evaluate``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import number, output, table
from reluopt.engines import engine_names, get_engine
from reluopt.errors import InputError, shown
from reluopt.install import own_version
from reluopt.networks.training import RECIPES
from reluopt.networks.zoo import TRAINED_BY

if TYPE_CHECKING:
    from reluopt.networks.network import ReLUNetwork
    from reluopt.networks.training.recipe import Recipe

_LIBRARIES = (
    "numpy",
    "scipy",
    "numba",
    "highspy",
    "gurobipy",
    "pyscipopt",
    "scikit-learn",
    "torch",
)


@app.command()
def info() -> None:
    """Show versions, engines (usable, or why not and how to get them) and bundled networks."""
    from rich.markup import escape

    from reluopt.networks.zoo import bundled_names, load_bundled
    from reluopt.runs.record import machine

    here = machine()
    output.print(f"reluopt {own_version()}, Python {here['python']}, {here['platform']}")
    output.print(f"{here['processor']}, {here['cores']} cores")
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    output.print(libraries, soft_wrap=True)
    engines = table("\nEngines", [("engine", "left"), ("state", "left"), ("detail", "left")])
    for name in engine_names():
        state = get_engine(name).state()
        mark = f"[green]usable[/] {state.version}" if state.usable else "[red]not usable[/]"
        engines.add_row(name, mark, escape(state.detail))
    output.print(engines)
    networks = table(
        "\nBundled networks", [("network", "left"), ("layers", "left"), ("test accuracy", "right")]
    )
    for name in bundled_names():
        network = load_bundled(name)
        networks.add_row(name, _shape(network), _percent(network.metadata.test_accuracy))
    output.print(networks)


@dataclass(frozen=True)
class RecipeOptions:
    """Settings that replace those of a recipe."""

    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over all images, in place of the recipe's.")
    ] = None
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in one step.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None
    eps: Annotated[
        float | None, typer.Option(help="pgd: largest change of a pixel (0.1 unless told).")
    ] = None
    pgd_steps: Annotated[int | None, typer.Option(min=1, help="pgd: steps of ascent (10).")] = None
    pgd_step_size: Annotated[
        float | None, typer.Option(help="pgd: size of a step (2.5 eps / steps).")
    ] = None
    random_start: Annotated[
        bool | None, typer.Option(help="pgd: start anywhere within eps, not at the image.")
    ] = None

    def given(self) -> dict[str, int | float]:
        """Those that are given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_BUNDLED = "\n".join(f"- {name}: `{made}`" for name, made in TRAINED_BY.items())


@app.command(epilog=f"Options that made the bundled networks:\n{_BUNDLED}")
@options.expanded
def train(
    *,
    out: Annotated[Path, typer.Option(help="Weights file to write (safetensors).")],
    hidden: Annotated[
        str | None, typer.Option(help="Hidden layer sizes (32,16 unless --architecture).")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help='Layers in place of --hidden: "conv(8, 1, 4, 4) s2 p1 / fc1568-10".'),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help=f"{', '.join(RECIPES.names)} (pgd: adversarial training).")
    ] = "thesis",
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    images: Annotated[
        int | None, typer.Option(min=1, help="Use the first so many training images only.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of idx files (MNIST, Fashion-MNIST, ...).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
    changes: RecipeOptions,
) -> None:
    """Train a network on MNIST and write it with its recipe and measured accuracy.

    Recipes thesis and mini-batch need scikit-learn, which the extra `train` installs; torch and pgd
    need PyTorch, the extra `torch`. The full training set is downloaded once when --data-dir is
    not given.
    """
    from reluopt.images.mnist import FULL_COUNT, load_images
    from reluopt.networks.saving import save_network
    from reluopt.networks.training.training import check_plan, train_and_test

    if hidden is not None and architecture is not None:
        raise InputError("--architecture: expected instead of --hidden, found both")
    layers = architecture if architecture is not None else _sizes(hidden or "32,16")
    adjusted: Recipe = RECIPES.load(recipe).adjusted(**changes.given())
    check_plan(layers, adjusted)
    options.refuse_existing("--out", out, force)
    wanted = images or (FULL_COUNT["train"] if data_dir is None else 1)
    training = load_images("train", data_dir, count=wanted, download=data_dir is None)
    if images is not None:
        training = training.subset(range(images))
    test = load_images("test", data_dir)
    network = train_and_test(training, test, layers, adjusted, seed, name=out.stem)
    save_network(network, out)
    accuracy = _percent(network.metadata.test_accuracy)
    output.print(f"{out}: {_shape(network)}, test accuracy {accuracy}")


@app.command(name="evaluate")
@options.expanded
def evaluate_command(
    network_name: options.NetworkName,
    loading: options.LoadingOptions,
    images: Annotated[
        str, typer.Option(help="Images, such as test:0-9999, or a .csv file with a column label.")
    ] = "test:0-9999",
    data_dir: Annotated[Path | None, typer.Option(help="Folder of idx files.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the confusion matrix.")] = None,
) -> None:
    """Print accuracy and confusion matrix of a network."""
    from rich.markup import escape

    from reluopt.networks.evaluation import evaluate
    from reluopt.runs.instances import load_labelled

    network = loading.open(network_name)
    result = evaluate(network, *load_labelled(network, images, data_dir))
    names = [shown(name, 20) for name in network.class_names]
    matrix = table(
        f"{shown(network.metadata.name)}: rows are true labels, columns predictions",
        [("", "left"), *((name, "right") for name in names)],
    )
    for name, row in zip(names, result.confusion.tolist(), strict=True):
        matrix.add_row(escape(name), *(str(count) if count else "·" for count in row))
    output.print(matrix)
    output.print(f"accuracy {_percent(result.accuracy)} on {result.count} images ({images})")
    if figure is not None:
        from reluopt.figures import confusion_figure, save_figure

        save_figure(confusion_figure(result.confusion, names), figure)


def _sizes(text: str) -> tuple[int, ...]:
    """Read ``32,16``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--hidden: expected sizes such as 32,16, found {text!r}") from None


def _shape(network: ReLUNetwork) -> str:
    return "-".join(str(size) for size in network.sizes)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{number(100.0 * value, '.2f')} %"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
