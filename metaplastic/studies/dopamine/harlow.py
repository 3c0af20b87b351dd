"""Learning to learn: two new objects in every episode, of which one is right (Wang et al. 2018, simulation 5).

    P(right in trial 1) = 1/2,    P(right in trial n > 1) -> 1                                                    (1)

Harlow's monkeys (1949) came to (1) over hundreds of pairs: the first pick is a guess, and whether it was right or wrong
tells all. An LSTM is trained by reward over many episodes, without being told that there is a rule; then its weights
are fixed and it meets objects of which no training episode had any.
Shapes: Q moments of the training, S seeds, T trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.dopamine.claims import checksum_row, row
from metaplastic.studies.dopamine.harlow_figure import draw
from metaplastic.studies.dopamine.laboratory import Trained, reward_blind, train_population
from metaplastic.studies.study import Claim, Result, Run, Study, enough, mean_and_error
from metaplastic.tasks.bandits.object_choice import HarlowChoice

TRIALS = 6
"""of an episode, as in the paper"""
UPDATES, BATCH, VALUE_WEIGHT = 3000, 128, 0.5
NETWORK = LSTM(units=64, learned_start=False)
EPISODES = 4000
"""test episodes of every seed"""
MOMENTS = (0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
"""of the training, at which the agents are tested; most is learned early"""
BLIND_SEEDS, BLIND_SHARE = 2, 0.2
"""the control without reward: fewer agents, a fifth of the updates; it has nothing to learn"""


def task_of(stimuli: str) -> HarlowChoice:
    """Six trials with objects from `training` or `held_out` ones."""
    return HarlowChoice.model_validate({"trials": TRIALS - 1, "test_trials": 1, "stimuli": stimuli})


class Found(NamedTuple):
    """Share of right picks."""

    updates: list[int]
    """moments of the training"""
    course: Float[np.ndarray, "Q S T"]
    """at these moments, held-out objects"""
    familiar: Float[np.ndarray, "S T"]
    """at the end, objects of the training"""
    second: Float[np.ndarray, "S 2"]
    """trial 2 after a wrong first pick, and after a right one"""
    surprise: Float[np.ndarray, "S T 2"]
    """mean error at the outcome of wrong and of right picks"""
    blind: Float[np.ndarray, "B T"]
    """retrained with the reward withheld"""
    forgetful: Float[np.ndarray, "S T"]
    """state reset at every trial"""
    is_unchanged: bool

    @property
    def last(self) -> Float[np.ndarray, "S T"]:
        """At the end of the training, held-out objects."""
        return self.course[-1]


def accuracy(trained: Trained, episodes: int, stimuli: str = "held_out", *, forget: bool = False) -> np.ndarray:
    """Share of right picks [S, T]."""
    seen = trained.record(episodes, ("score",), task=task_of(stimuli), forget=forget)
    return seen["score"].mean(2).T


def by_outcome(score: Float[np.ndarray, "T S E"], rpe: Float[np.ndarray, "T S E"]) -> tuple[np.ndarray, np.ndarray]:
    """Trial 2 after a wrong and after a right first pick [S, 2]; mean error of wrong and right picks [S, T, 2].

    NaN where there was none.
    """
    right = score == 1

    def mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        count = where.sum(-1)
        return np.where(count > 0, (values * where).sum(-1) / np.maximum(count, 1), np.nan)

    second = np.stack([mean(score[1], which) for which in (~right[0], right[0])], -1)
    surprise = np.stack([mean(rpe, which) for which in (~right, right)], -1)
    return second, surprise.swapaxes(0, 1)


class HarlowStudy(Study):
    """Simulation 5, without the walk."""

    name: ClassVar[str] = "harlow"
    title: ClassVar[str] = "Harlow: learning to learn from one trial"
    question: ClassVar[str] = (
        "Does an agent that is trained by reward alone, on one pair of objects after the other, come to know a new "
        "pair after a single pick, whether that was right or wrong, with its weights fixed?"
    )
    method: ClassVar[str] = (
        "Two objects, random codes of 8 times +1 or -1, stand left and right in random order in each of six trials; "
        "one of them is right for the whole episode: +1, the other -1. LSTMs with 64 units hear their last action and "
        f"reward and are trained by advantage actor-critic ({UPDATES} updates of {BATCH} episodes) on seven eighths of "
        f"the codes. At eight moments of the training they play {EPISODES} episodes with the others, weights "
        "fixed."
    )
    departures: ClassVar[Sequence[str]] = (
        "No pictures, no gaze, no fixation: the paper's agents see a 3-D screen and must look at an object to pick it. "
        "So its share of agents that succeed (14 of 50) says nothing about ours.",
        "64 units, Adam with a rate that falls to 0, gamma .9, w_V .5; the paper has 256 units and 32 threads of A3C.",
        "Codes are 8 bits: 224 in training, 32 held out, drawn at random in both.",
        f"The agents without reward are {BLIND_SEEDS}, trained for a fifth of the updates.",
    )
    references: ClassVar[Sequence[str]] = HarlowChoice.references
    minutes: ClassVar[float | None] = 3

    def run(self, run: Run) -> Result:
        """Train, freeze, meet new objects."""
        rule = A2C(updates=UPDATES, batch=BATCH, value_weight=VALUE_WEIGHT)
        trained = train_population(run, "agents", NETWORK, rule, task_of("training"), keep=MOMENTS)
        episodes = 200 if run.scale == "quick" else EPISODES
        short = rule.model_copy(update={"updates": max(1, int(rule.updates * BLIND_SHARE))})
        fewer = replace(run, seeds=min(run.seeds, BLIND_SEEDS))
        blind = train_population(fewer, "agents_without_reward", reward_blind(NETWORK), short, task_of("training"))
        found = measure(trained, blind, episodes)
        return Result(claims(found), draw(found), numbers(found))


def measure(trained: Trained, blind: Trained, episodes: int) -> Found:
    """All tests."""
    before = trained.agents.checksum()
    updates = sorted(trained.on_the_way)
    course = np.stack([accuracy(trained.after(number), episodes) for number in updates])
    seen = trained.record(episodes, ("score", "rpe"), task=task_of("held_out"))
    second, surprise = by_outcome(seen["score"], seen["rpe"])
    return Found(
        updates,
        course,
        accuracy(trained, episodes, "training"),
        second,
        surprise,
        accuracy(blind, episodes),
        accuracy(trained, episodes, forget=True),
        before == trained.agents.checksum(),
    )


def claims(found: Found) -> list[Claim]:
    """The table."""
    last, second = found.last, found.second
    bounds = (
        (last[:, 0], "trial 1", ".5 ± .02", lambda x: abs(x - 0.5) <= 0.02),
        (last[:, 1], "trial 2", "≥ .95", lambda x: x >= 0.95),
        (last[:, 5], "trial 6", "≥ .97", lambda x: x >= 0.97),
        (second[:, 0], "trial 2 after a wrong first pick", "≥ .94", lambda x: x >= 0.94),
        (second[:, 1], "trial 2 after a right first pick", "≥ .94", lambda x: x >= 0.94),
    )
    rows = [
        row(f"right in {what}, held-out objects", bound, "proposed", x.tolist(), ok) for x, what, bound, ok in bounds
    ]
    holds = np.all([[ok(value) for value in x] for x, _, _, ok in bounds], axis=0).tolist()
    text = f"{sum(holds)} of {len(holds)} seeds"
    rows.append(Claim("all of these in one seed", "6 of 8 seeds", "proposed", text, enough(holds)))
    rows.append(Claim("agents that reach the maximum, 3-D task", "14 of 50", "published", "–", None))
    familiar = (found.familiar[:, 1:].mean(1) - last[:, 1:].mean(1)).tolist()
    rows.append(
        row("trials 2 to 6: objects of the training better by", "≤ .02", "proposed", familiar, lambda x: x <= 0.02)
    )
    guesses = np.abs(found.course[:, :, 0] - 0.5).max(0).tolist()
    rows.append(
        row("trial 1 at all moments of the training, from .5", "≤ .03", "derived", guesses, lambda x: x <= 0.03)
    )
    gains = np.diff(found.course[:, :, 1:].mean(2), axis=0).min(0).tolist()
    rows.append(
        row(
            "trials 2 to 6 from moment to moment, least gain",
            "≥ -.02 (rises)",
            "our bound",
            gains,
            lambda x: x >= -0.02,
        )
    )
    for name, values in (("reward withheld, retrained", found.blind), ("untrained", found.course[0])):
        means = values[:, 1:].mean(1).tolist()
        rows.append(
            row(f"right in trials 2 to 6, {name}", ".5 ± .02", "derived", means, lambda x: abs(x - 0.5) <= 0.02)
        )
    reset, kept = (values[:, 1:].mean(1) for values in (found.forgetful, last))
    rows.append(Claim("right in trials 2 to 6, state reset", "–", "derived", mean_and_error(reset.tolist()), None))
    lost = ((kept - reset) / np.maximum(kept - 0.5, 1e-9)).tolist()
    rows.append(row("share of what is above .5 that the reset takes", "≥ .5", "proposed", lost, lambda x: x >= 0.5))
    return [*rows, checksum_row(found.is_unchanged)]


def numbers(found: Found) -> dict[str, object]:
    """Everything behind the table, for result.json."""
    return {name: np.asarray(value).tolist() for name, value in found._asdict().items()}
