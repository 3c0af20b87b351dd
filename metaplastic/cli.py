"""The commands. Each reads its words, calls one function of `platform`, and prints what came of it.

A user's mistake ends with one line on standard error and exit code 2; nothing is lost. Heavy imports happen inside the
commands, so that `metaplastic --help` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from metaplastic.platform.finish import Outcome

app = typer.Typer(
    help="Evolve, live and dissect plastic neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="experiment file (YAML)", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="settings to change, as place=value: search.population=64", show_default=False),
]

AllowChange = Annotated[
    bool, typer.Option("--allow-change", help="go on although the experiment was changed since the run began")
]

Description = Annotated[Path | None, typer.Option("--launch", help="launch description (YAML); flags are set over it")]
Nodes = Annotated[str | None, typer.Option(help="machines")]
Cpus = Annotated[str | None, typer.Option(help="CPUs of each")]
Gpus = Annotated[str | None, typer.Option(help="GPUs of each")]
Memory = Annotated[str | None, typer.Option(help="memory of each: 32G")]
Hours = Annotated[str | None, typer.Option(help="time limit")]
Actors = Annotated[str | None, typer.Option(help="Ray actors; one a GPU or CPU if absent")]


@app.command()
def search(
    file: File,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="run directory, must be new; runs/NAME-NUMBER if absent")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray actors; 0 computes in this process")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on, if --out is a run of this experiment")] = False,
    allow_change: AllowChange = False,
) -> None:
    """Evolve the genes of an experiment; leave a run with a champion and a report.

    A signal stops it after its generation, saved, with an exit code: Ctrl-C 130, SIGTERM 143, SIGUSR1 75.
    """
    from metaplastic.platform.experiment_file import load
    from metaplastic.platform.relaunch import search_or_resume
    from metaplastic.platform.search import search as start

    words = [*(overrides or []), *([] if workers is None else [f"execution.workers={workers}"])]
    experiment = load(file, words)
    if resume:
        _search(lambda: search_or_resume(experiment, out, sys.argv, allow_change))
    else:
        _search(lambda: start(experiment, out, sys.argv))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="run directory")],
    generations: Annotated[int | None, typer.Option(help="new total; the experiment's own if absent")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray actors; 0 computes in this process")] = None,
    allow_change: AllowChange = False,
) -> None:
    """Continue a run from its last checkpoint, exactly as if it had never stopped."""
    from metaplastic.platform.relaunch import resume as go_on

    _search(lambda: go_on(run, generations=generations, workers=workers, allow_change=allow_change))


@app.command()
def status(run: Annotated[Path, typer.Argument(help="run directory")]) -> None:
    """Tell how a run is getting on: running or stopped, how far, how fast, its workers, its last checkpoint."""
    from metaplastic.platform.status import status as tell

    typer.echo(tell(run))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="run directory")],
    table: Annotated[str, typer.Option(help="metrics, genes (one row a generation) or champion (one row a gene)")] = (
        "metrics"
    ),
    out: Annotated[Path | None, typer.Option(help="file: .csv or .parquet; CSV on standard output if absent")] = None,
) -> None:
    """Write a run as a table for other programs."""
    from metaplastic.platform.export import export as write

    typer.echo(write(run, table, out))


@app.command()
def launch(
    where: Annotated[str, typer.Argument(help="local, ray-job, slurm, kubernetes or cloud", show_default=False)],
    file: File,
    overrides: Overrides = None,
    description: Description = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be submitted, and submit nothing")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="folder for the files; launches/NAME if absent")] = None,
    name: Annotated[str | None, typer.Option(help="name of the job; the experiment's if absent")] = None,
    nodes: Nodes = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    hours: Hours = None,
    workers: Actors = None,
    run_dir: Annotated[
        str | None, typer.Option(help="run directory, absolute, on a disk that outlives the job")
    ] = None,
    address: Annotated[str | None, typer.Option(help="ray-job: the Jobs server; RAY_ADDRESS if absent")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="any other setting: --set slurm.partition=long")
    ] = None,
) -> None:
    """Search on this machine, a Ray cluster, Slurm, Kubernetes or a cloud."""
    from metaplastic.clusters.launch import kind_of
    from metaplastic.clusters.launch import launch as start

    kind_of(where)
    flags = {"name": name, "nodes": nodes, "cpus": cpus, "gpus": gpus, "memory": memory, "hours": hours}
    flags |= {"workers": workers, "run_dir": run_dir, "ray_job.address": address}
    from metaplastic.platform.experiment_file import dump, load

    text = dump(load(file, overrides))
    done = start(
        where,
        file,
        text,
        overrides or (),
        description=description,
        flags=flags,
        settings=settings or (),
        out=out,
        dry_run=dry_run,
    )
    typer.echo(done.text, err=done.code != 0)
    raise typer.Exit(done.code)


@app.command()
def estimate(
    file: File,
    overrides: Overrides = None,
    description: Description = None,
    nodes: Nodes = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    hours: Hours = None,
    workers: Actors = None,
    seconds: Annotated[float, typer.Option(help="how long chunks are timed, at least two")] = 60.0,
    losses: Annotated[float, typer.Option(help="how often a day each worker is lost")] = 0.0,
) -> None:
    """Time a search on this machine and tell what it would take on 1, 2, 4, … workers; refuse what cannot fit."""
    from metaplastic.clusters.launch import read_description
    from metaplastic.clusters.rules import mebibytes
    from metaplastic.platform.estimate import Offer
    from metaplastic.platform.estimate_table import estimate as tell

    flags = {"nodes": nodes, "cpus": cpus, "gpus": gpus, "memory": memory, "hours": hours, "workers": workers}
    wanted = read_description(description, flags, (), "estimate", here=description is None and nodes is None)
    said = wanted.model_fields_set - ({"cpus"} if cpus is None and description is None else set())
    offer = Offer(
        workers=wanted.worker_count(),
        nodes=wanted.nodes,
        memory=mebibytes(wanted.memory) if "memory" in said else None,
        hours=wanted.hours if "hours" in said else None,
        gpus=wanted.gpus,
        meant=bool({"nodes", "cpus", "gpus", "workers"} & said),
    )
    tell(file, overrides or [], offer, seconds=seconds, losses=losses)


@app.command()
def live(
    source: Annotated[Path, typer.Argument(help="experiment without genes (YAML), or a run: its champion lives")],
    overrides: Overrides = None,
    lifetimes: Annotated[int | None, typer.Option(help="how many lives; the experiment's own number if absent")] = None,
    record: Annotated[str, typer.Option(help="what to record, by comma: action,reward,rpe,…")] = "",
    held_out: Annotated[bool, typer.Option(help="live on the material that searches never see")] = False,
    out: Annotated[Path | None, typer.Option(help="new folder for recordings and figures")] = None,
    quarantined: Annotated[
        int | None, typer.Option(help="of a run: live this individual of its quarantine.jsonl, in this process")
    ] = None,
) -> None:
    """Live an experiment and look: scores, learning curves, recordings, figures."""
    if quarantined is not None:
        from metaplastic.platform.quarantine import live_again

        typer.echo(live_again(source, quarantined))
        return
    from metaplastic.platform.living import live_file

    names = tuple(name.strip() for name in record.split(",") if name.strip())
    typer.echo(live_file(source, overrides or [], lifetimes, names, held_out=held_out, out=out))


@app.command()
def genome(file: File, overrides: Overrides = None) -> None:
    """List the genes of an experiment: place, range, scale, start, how many numbers."""
    from metaplastic.platform.describe import genome_table
    from metaplastic.platform.experiment_file import load

    _show(genome_table(load(file, overrides)))


@app.command()
def describe(
    kind: Annotated[str | None, typer.Argument(help="a kind, or 'experiment'; all kinds if absent")] = None,
) -> None:
    """Explain a component: its equation, fields, defaults, units and references."""
    from metaplastic.platform.describe import describe_all, describe_kind

    _show(describe_kind(kind) if kind else describe_all())


@app.command()
def tasks(tag: Annotated[str | None, typer.Option(help="only tasks that carry this tag")] = None) -> None:
    """List the tasks, with their tags."""
    from metaplastic.platform.describe import task_table

    _show(task_table(tag))


@app.command()
def rules(
    markdown: Annotated[bool, typer.Option("--markdown", help="as the page docs/rules/README.md")] = False,
) -> None:
    """List the learning rules: equation, what a synapse reads, source."""
    from metaplastic.platform.rule_table import markdown as page
    from metaplastic.platform.rule_table import table

    if markdown:
        typer.echo(page(), nl=False)
    else:
        _show(table())


@app.command()
def gallery(
    folder: Annotated[Path, typer.Argument(help="folder for the page and its pictures")],
    tasks: Annotated[list[str] | None, typer.Argument(help="ids; all tasks if absent")] = None,
    presets: Annotated[bool, typer.Option("--presets", help="draw every preset, not only a task's first")] = False,
) -> None:
    """Draw one trial of every task, and a page that shows them."""
    from metaplastic.platform.task_gallery import write_gallery

    typer.echo(write_gallery(folder, tasks, every_preset=presets))


@app.command()
def schema(out: Annotated[Path | None, typer.Option(help="file to write; standard output if absent")] = None) -> None:
    """Write the JSON schema of experiment files, for editors."""
    from metaplastic.platform.describe import schema_text

    if out is None:
        typer.echo(schema_text())
    else:
        out.write_text(schema_text() + "\n", encoding="utf-8")
        typer.echo(f"schema written to {out}")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="run directory")]) -> None:
    """Draw a run's report again from its files."""
    from metaplastic.platform.report import write_report

    typer.echo(f"report: {write_report(run)}")


@app.command()
def study(
    name: Annotated[str | None, typer.Argument(help="which; the list of them if absent", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="new folder; studies/NAME if absent")] = None,
    seeds: Annotated[int, typer.Option(help="agents trained from different births")] = 8,
    seed: Annotated[int, typer.Option(help="all randomness follows from it")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="a look in a short time; nothing is decided by it")] = False,
    full: Annotated[bool, typer.Option("--full", help="the paper's own protocol; may take long")] = False,
    data_root: Annotated[Path | None, typer.Option(help="where data sets lie, for the studies that need them")] = None,
) -> None:
    """Reproduce a published result: train, measure, draw, print published beside measured."""
    from metaplastic.studies.command import list_studies, study_command

    if name is None:
        _show(list_studies())
        return
    _show(study_command(name, out, seeds=seeds, seed=seed, quick=quick, full=full, data_root=data_root))


@app.command()
def check(kind: Annotated[str, typer.Argument(help="a task's kind, or your own: mylab.maze:Maze")]) -> None:
    """Hold a task to the contract that the built-in ones keep."""
    from metaplastic.platform.describe import check_task_kind

    typer.echo(check_task_kind(kind))


def _search(go: Callable[[], Outcome]) -> None:
    """Search, print what came of it, and exit with 0 or the code of the signal that stopped it."""
    try:
        outcome = go()
    except KeyboardInterrupt as stopped:
        typer.echo(f"metaplastic: {str(stopped) or 'stopped'}", err=True)
        raise typer.Exit(130) from None
    typer.echo(outcome.summary())
    raise typer.Exit(outcome.code)


def _show(table: object) -> None:
    from rich.console import Console

    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def main() -> None:
    """Run a command; a user's mistake becomes one line and exit code 2."""
    sys.path.append(str(Path.cwd()))  # a lab's own classes: `kind: mylab.maze:Maze`
    try:
        app()
    except ValueError as error:
        from metaplastic.settings import ConfigError

        if not isinstance(error, ConfigError):
            raise
        typer.echo(f"metaplastic: {error}", err=True)
        sys.exit(2)
