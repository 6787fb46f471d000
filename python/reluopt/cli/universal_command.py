"""``reluopt universal``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import MAX_TABLE_ROWS, norm_title, number, print_table, say, table, tell
from reluopt.errors import shown

if TYPE_CHECKING:  # a help text must not wait for numba, pandas and matplotlib
    from reluopt.runs.row import UniversalRow
    from reluopt.runs.universal import UniversalJob


@app.command()
@options.expanded
def universal(
    network_name: options.NetworkName,
    images: options.Images,
    question: options.QuestionOptions,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    incumbent: options.Incumbent = None,
    label: options.TrueLabel = None,
    proof: options.Proof = False,
    data_dir: options.DataDir = None,
    out: options.Out = None,
    jsonl: options.JsonLines = False,
    figure: options.Figure = None,
) -> None:
    """Find the smallest change that, the same for all images, makes the network answer targets.

    One problem, whose program holds the network once for every image: a few images at a time.
    """
    options.check_figure_path(figure)
    solver.check()
    options.check_proof(proof, out)
    network = loading.open(network_name)
    parsed = question.parse()

    from reluopt.cli.runs import chosen_instances, run_units, save
    from reluopt.runs.attack import AttackSettings
    from reluopt.runs.universal import ImageSet, UniversalJob

    settings = AttackSettings(*parsed, solver.method(incumbent, proof), network_name)
    asked = options.RunOptions(data_dir=data_dir, out=out, jsonl=jsonl)
    job = UniversalJob(
        network, settings, ImageSet(tuple(chosen_instances(network, images, asked, label)))
    )
    job.check()  # before a folder is made
    (finished,) = run_units("universal", job, [job.images], asked)
    if not jsonl:
        _print(job, finished.row)
    if figure is not None:
        from reluopt.runs.drawing import change_figure  # matplotlib takes its time

        save(change_figure(job, finished), figure)


def _print(job: UniversalJob, row: UniversalRow) -> None:
    """What the network answers to every image, and what there is to say of the change."""
    from reluopt.runs.wording import change_words

    asked, images = job.settings, job.images.instances
    title = (
        f"{shown(job.network.metadata.name)}, {norm_title(asked.norm)}, target {asked.target}, "
        f"margin {asked.margin}: one change for {len(images)} images"
    )
    form = table(
        title, [("image", "left"), ("change", "left"), ("target", "right"), ("checked", "left")]
    )
    checked = "yes" if row.certified else "[red]no[/]"
    names = ("original_answers", "answers", "targets")
    told = zip(images, *map(row.by_image, names), strict=True)
    for each, before, after, target in list(told)[:MAX_TABLE_ROWS]:
        words = change_words(each.label, before, after)
        form.add_row(escape(each.key), words, number(target, ".0f"), checked)
    print_table(form, len(images))
    say(
        f"{row.status}: distance {number(row.distance)}, bound "
        f"{number(None if row.bound is None else asked.norm.distance_of(row.bound))}, gap "
        f"{number(row.gap, '.1e')}, {number(row.seconds, '.3f')} s, {number(row.nodes, '.0f')} "
        f"nodes, engine {row.engine}"
    )
    if row.message:
        tell(row.message)
