"""What all Song studies share: the protocol, its controls, the rows of the table that every task has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from metaplastic.inner_loop.agents.pair_training import Met
from metaplastic.inner_loop.gradient.song17 import Song17
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.studies.analysis.behaviour import Psychometric, psychometric
from metaplastic.studies.song.laboratory import Tested, Trained, educate, examined, same_without_value
from metaplastic.studies.song.song_figure import Panel, course, drawing
from metaplastic.studies.study import Claim, Result, Run, Study, mean_and_error
from metaplastic.tasks.registry import KINDS

DT = {"quick": 50.0, "default": 25.0, "full": 10.0}
"""ms a step, by scale"""
TRIALS = {"quick": 2000, "default": 4000, "full": 10_000}
"""of the test"""


class Behaviour(NamedTuple):
    """What a task's own analysis found."""

    claims: list[Claim]
    panels: list[Panel]
    numbers: dict[str, Any]
    alt: str
    caption: str


class SongStudy(Study):
    """One task of Song, Yang & Wang 2017: train to the criterion, freeze, test, compare."""

    kind: ClassVar[str]
    """the task"""
    preset: ClassVar[str] = "song17"
    updates: ClassVar[dict[str, int]] = {"quick": 2000, "default": 3000, "full": 10_000}
    """most gradient steps, by scale"""
    validation: ClassVar[int] = 1000
    learning_rate: ClassVar[float] = 0.004
    published_trials: ClassVar[str] = "–"
    """until the criterion"""
    most_trials: ClassVar[int | None] = None
    """that are accepted"""
    references: ClassVar[Sequence[str]] = Song17.references
    minutes: ClassVar[float | None] = None

    method: ClassVar[str] = (
        "A policy network of 100 modified GRUs (10 % of connections) and a dense value network of 100, which reads the "
        "rates and the last action of the first, are trained by REINFORCE with the value as baseline (rule `song17`): "
        "Adam at .004, gradients clipped at 1, as many trials an update as there are conditions. Every 50 updates "
        "1,000 new trials decide whether the task's criterion is met; then the weights are fixed and tested."
    )
    departures: ClassVar[Sequence[str]] = (
        "A step is 25 ms (--quick: 50 ms; --full: the paper's 10 ms); the authors advise larger steps in development.",
        "The first decision of a trial is credited with its own reward alone. The paper does not say so, the authors' "
        "code does it, and without it nothing is learned: at birth every return is -1, as is the baseline.",
        "In the authors' training (not in their test) the value network hears rates and actions one step late.",
    )

    def task(self, scale: str) -> Any:
        """The task, at the step of this scale."""
        given = {"kind": self.kind, "preset": self.preset, "dt": DT[scale], "trials": 1, "test_trials": 1}
        return KINDS[self.kind].model_validate(given)

    def network(self) -> ModifiedGRU:
        """The paper's."""
        return ModifiedGRU()

    def rule(self, scale: str) -> Song17:
        """The paper's, for at most so many updates."""
        rate = self.learning_rate
        return Song17(
            updates=self.updates[scale], validation=self.validation, learning_rate=rate, value_learning_rate=rate
        )

    def met(self) -> Met | None:
        """The criterion, where it is not that of the task."""
        return None

    @abstractmethod
    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """The task's own analysis."""

    def more(self, run: Run, task: Any, trained: Trained) -> list[Claim]:
        """Further controls."""
        del run, task, trained
        return []

    def run(self, run: Run) -> Result:
        """Train, test, analyse, draw."""
        task = self.task(run.scale)
        trained = educate(run, self.name, task, self.network(), self.rule(run.scale), self.met())
        tested = examined(trained, TRIALS[run.scale])
        found = self.behaviour(run, trained, tested)
        claims = [*self.shared(trained, tested), *found.claims, *self.more(run, task, trained)]
        looks = course(trained.history)
        picture = drawing(self.name, [looks, *found.panels], found.alt, found.caption)
        return Result(claims, [picture], numbers_of(trained, tested) | found.numbers)

    def shared(self, trained: Trained, tested: Tested) -> list[Claim]:
        """Criterion, trials, and what is needed for behaviour."""
        done = [trials for trials in trained.trials if trials is not None]
        count = len(trained.trials)
        needed = f"{min(done):,} to {max(done):,} (of those who do)" if done else "–"
        within = None if self.most_trials is None else bool(done) and max(done) <= self.most_trials
        unborn = examined(trained, 500, pair=trained.birth)
        same = same_without_value(trained)
        return [
            Claim("pairs that reach the criterion", "all", "published", f"{len(done)} of {count}", len(done) == count),
            Claim("trials until then", self.published_trials, "published", needed, within),
            Claim("answered, test", "≥ 0.99", "published", mean_and_error(tested.p_answered()), None),
            Claim("right of the answered, test", self.wanted, "published", mean_and_error(tested.p_correct()), None),
            Claim("same actions without the value network", "1", "published", f"{same:.3f}", same == 1),
            Claim(
                "untrained: answered",
                "0",
                "derived",
                mean_and_error(unborn.p_answered()),
                max(unborn.p_answered()) < 0.01,
            ),
        ]

    @property
    def wanted(self) -> str:
        """The criterion's share of right answers, as text."""
        return next((f"≥ {least:g}" for name, least in self.task("full").spec.criteria if name == "p_correct"), "–")


def numbers_of(trained: Trained, tested: Tested) -> dict[str, Any]:
    """What is behind the shared rows."""
    looks = trained.history.looks
    return {
        "trials": trained.trials,
        "updates": trained.history.updates.tolist(),
        "looks": {
            "update": [one.update for one in looks],
            "answered": [one.p_answered.tolist() for one in looks],
            "correct": [one.p_correct.tolist() for one in looks],
        },
        "answered": tested.p_answered(),
        "correct": tested.p_correct(),
        "reward": tested.reward.mean(1).tolist(),
    }


def curve_of(levels: np.ndarray, hits: np.ndarray, trials: np.ndarray) -> Psychometric:
    """Cumulative Gaussian through the shares; NaN where too little was answered for one."""
    if len(np.unique(levels[trials > 0])) < 2:
        return Psychometric(*[float("nan")] * 5)
    return psychometric(levels, hits, trials)


def by_level(
    tested: Tested, level: np.ndarray, what: np.ndarray, where: np.ndarray | bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(levels [X], hits [P, X], trials [P, X]) of `what` in trials that were answered in time."""
    seen = tested.in_time & where
    levels = np.unique(level)
    hits = np.stack([(what & seen & (level == x)).sum(1) for x in levels], 1)
    trials = np.stack([(seen & (level == x)).sum(1) for x in levels], 1)
    return levels, hits, trials
