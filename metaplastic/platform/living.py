"""Live an experiment and look at it: scores, the learning curve, recordings on disk, a figure.

An experiment to live has no genes: one of the user's, or the champion of a run.
"""

from __future__ import annotations

import csv
from pathlib import Path

from metaplastic.core import ConfigError, Record
from metaplastic.inner_loop import decision_life, layered_life, recording, sequence_life, trial_life
from metaplastic.inner_loop.agents.observation import AGENT_RECORDS
from metaplastic.inner_loop.agents.pair_life import PAIR_RECORDS
from metaplastic.inner_loop.networks.gated import Gated
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.inner_loop.networks.plastic_rnn import PlasticRNN
from metaplastic.inner_loop.networks.recurrent import Recurrent
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.inner_loop.rules.sequence import SequenceRule
from metaplastic.platform.evaluate import generation_key, genome_of, live_experiment, measures
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import dump, load
from metaplastic.platform.figures import learning_curves
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.run_results import Comparison, Entry

CHAMPION = "champion.yaml"


def live_file(
    source: Path,
    overrides: list[str],
    lifetimes: int | None,
    record: tuple[str, ...],
    *,
    held_out: bool = False,
    out: Path | None = None,
) -> str:
    """Live the experiment of a file or the champion of a run; the text that the command prints."""
    experiment = load(find_experiment(source), overrides)
    if held_out:
        experiment = experiment.model_copy(update={"task": experiment.task.held_out()})
    genes = genome_of(experiment).names()
    if genes:
        raise ConfigError(
            f"{source}: has genes ({', '.join(genes[:3])}{', …' if len(genes) > 3 else ''}), wanted plain "
            "numbers to live; set them (rule.eta=0.1), or search and live the run's champion"
        )
    _check_record(experiment, record)
    lived = live_experiment(experiment, 1, generation_key(experiment.seed, 0), lifetimes, record)
    place = _write(experiment, lived, record, out)
    return "\n".join([*_lines(experiment, lived), f"recordings and figures: {place}"])


def find_experiment(source: Path) -> Path:
    """The experiment file that `source` means: itself, or the champion of the run that it is the directory of."""
    if not source.is_dir():
        return source
    if (source / CHAMPION).exists():
        return source / CHAMPION
    if (source / EXPERIMENT).exists():
        raise ConfigError(f"{source}: this run has no champion yet; go on with `metaplastic resume {source}`")
    raise ConfigError(f"{source}: is a folder and no run, wanted an experiment file or a run directory")


def labelled(experiment: Experiment, lived: Record, record: tuple[str, ...]) -> dict[str, recording.Labelled]:
    """The recordings with the names of their axes and their units."""
    known = _known(experiment)
    every = recording.requests(record, known)
    rows = {}
    for name, data in lived.recordings.items():
        dimensions, unit = known[name.partition(".")[0]]
        rows[name] = recording.Labelled(data, dimensions, unit, every[name.partition(".")[0]])
    return rows


def _known(experiment: Experiment) -> dict[str, tuple[tuple[str, ...], str]]:
    if isinstance(experiment.network, Gated):
        return AGENT_RECORDS
    if isinstance(experiment.network, ModifiedGRU):
        return PAIR_RECORDS
    if isinstance(experiment.rule, SequenceRule) or isinstance(experiment.network, Recurrent | PlasticRNN):
        return sequence_life.RECORDS
    if isinstance(experiment.rule, LayeredRule):
        return layered_life.RECORDS
    each = experiment.task.spec.response == "each"
    return decision_life.RECORDS if each else trial_life.RECORDS


def _check_record(experiment: Experiment, record: tuple[str, ...]) -> None:
    try:
        recording.requests(record, _known(experiment))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _write(experiment: Experiment, lived: Record, record: tuple[str, ...], out: Path | None) -> Path:
    try:
        directory = RunDirectory.create(f"{experiment.name}-life", out)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    directory.write_experiment(dump(experiment, directory.path))
    with (directory.path / "lifetimes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["lifetime", "score", *lived.metrics])
        for index, score in enumerate(lived.score[0].tolist()):
            table.writerow([index, score, *(metric[0, index].item() for metric in lived.metrics.values())])
    if record:
        recording.save(directory.path / "recordings", labelled(experiment, lived, record))
    figure = learning_curves(_as_comparison(experiment, lived))
    figure.savefig(directory.path / "learning_curve.png", dpi=150)
    return directory.path


def _as_comparison(experiment: Experiment, lived: Record) -> Comparison:
    """One entry, for the figure."""
    scores, curve = lived.score[0].double(), lived.curve[0].double()
    mean, sd = scores.mean().item(), scores.std(correction=0).item()
    spread = curve.std(0, correction=0).tolist()
    entry = Entry(experiment.name, "champion", mean, sd, scores.tolist(), curve.mean(0).tolist(), spread)
    spec = experiment.task.spec
    return Comparison("score", spec.chance, spec.ceiling, experiment.task.trials, False, [entry])


def _lines(experiment: Experiment, lived: Record) -> list[str]:
    score, spec = lived.score[0].double(), experiment.task.spec
    spread = f" ± {score.std().item():.4f}" if len(score) > 1 else ""
    means = measures(lived)
    return [
        f"{len(score)} lives of {experiment.task.trials} trials of {experiment.task.kind}",
        f"score {score.mean().item():.4f}{spread} (chance {spec.chance:g}, ceiling {spec.ceiling:g})",
        "  ".join(f"{name} {value.item():.4g}" for name, value in means.items() if name != "score"),
    ]
