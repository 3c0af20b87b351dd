"""The trial of a champion: it lives on material that no search has seen, beside its controls.

    plasticity off       the champion's network and everything else, with a rule that changes nothing
    starting rule        the experiment at its genes' starting values: what evolution began with
    the user's controls  the champion with some components in others' places (`comparison.controls`)
    champion             the best genome as a plain experiment

All live the same lifetimes (common random numbers) under a key that no generation of the search had.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.platform.evaluate import generation_key, live_experiment
from metaplastic.platform.experiment import Control, Experiment

KEY = -1
"""the generation whose key the comparison lives under; searches count from 0"""

Role = Literal["control", "start", "champion", "ceiling"]


class Entry(NamedTuple):
    """How one of the compared did."""

    name: str
    role: Role
    scores: Float[Tensor, " L"]
    """of each lifetime, on its test trials"""
    curve: Float[Tensor, "L blocks"]
    """while it learned"""
    failed: int = 0
    """lifetimes whose numbers stopped being finite; they answered nothing, so they count with score 0"""

    def as_json(self) -> dict[str, Any]:
        """Plain values for comparison.json."""
        return {
            "name": self.name,
            "role": self.role,
            "mean": self.scores.mean().item(),
            "sd": self.scores.std().item(),
            "failed": self.failed,
            "scores": self.scores.tolist(),
            "curve": self.curve.mean(0).tolist(),
            "curve_sd": self.curve.std(0).tolist(),
        }


def compare(experiment: Experiment, champion: Experiment, start: Experiment) -> list[Entry]:
    """Every control and the champion on held-out lifetimes, in the order in which reports show them."""
    lifetimes = experiment.comparison.lifetimes
    off = Control(rule=Fixed())
    entries = [
        trial("plasticity off", "control", with_control(champion, off), lifetimes),
        trial("starting rule", "start", start, lifetimes),
    ]
    for name, control in experiment.comparison.controls.items():
        entries.append(trial(name, control.role, with_control(champion, control), lifetimes))
    return [*entries, trial("champion", "champion", champion, lifetimes)]


def trial(name: str, role: Role, experiment: Experiment, lifetimes: int) -> Entry:
    """One experiment without genes on held-out lifetimes."""
    held_out = experiment.model_copy(update={"task": experiment.task.held_out()})
    record = live_experiment(held_out, 1, generation_key(experiment.seed, KEY), lifetimes)
    failed = ~record.score[0].isfinite()
    scores, curve = (part[0].double().nan_to_num(0.0) for part in (record.score, record.curve))
    return Entry(name, role, scores.where(~failed, 0.0), curve, int(failed.sum()))


def with_control(experiment: Experiment, control: Control) -> Experiment:
    """The experiment with the control's components in place of its own."""
    parts = {name: getattr(control, name) for name in type(control).model_fields if name != "role"}
    return experiment.model_copy(update={name: part for name, part in parts.items() if part is not None})


def comparison_json(experiment: Experiment, entries: list[Entry]) -> dict[str, Any]:
    """What is written to comparison.json."""
    spec = experiment.task.spec
    return {
        "score_name": "score",
        "task": experiment.task.kind,
        "chance": spec.chance,
        "ceiling": spec.ceiling,
        "trials": experiment.task.trials,
        "lifetimes": experiment.comparison.lifetimes,
        "held_out": True,
        "entries": [entry.as_json() for entry in entries],
    }
