"""The laboratory of the Song studies: train pairs to their criterion, freeze them, look at what they do.

One pair a seed, each with births and trials of its own; test trials are the same for all, and none was trained on. What
was trained is kept in the study's folder (`<name>.safetensors`). Shapes: P pairs, N trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from safetensors.torch import save_file

from metaplastic import rng
from metaplastic.core import Task
from metaplastic.inner_loop.agents.pair_training import History, Look, Met, Update, lives, train
from metaplastic.inner_loop.agents.pair_trials import Decided, decide, expect
from metaplastic.inner_loop.gradient.song17 import Song17
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU, Pair, born
from metaplastic.inner_loop.objectives import Reward
from metaplastic.studies.study import Run

TESTED = 0x7E58
"""the stream of test trials below the run's key"""


@dataclass(frozen=True)
class Trained:
    """Trained pairs, one a seed."""

    pair: Pair
    birth: Pair
    history: History
    task: Any
    key: Int[torch.Tensor, ""]

    @property
    def trials(self) -> list[int | None]:
        """Trials until the criterion; None where it was not reached."""
        reached = zip(self.history.trials.tolist(), self.history.reached.tolist(), strict=True)
        return [trials if yes else None for trials, yes in reached]


class Tested(NamedTuple):
    """What pairs did in test trials."""

    given: dict[str, Shaped[np.ndarray, " N"]]
    """conditions of the trials, by name; `ms.<epoch>` is how long an epoch took"""
    answer: Int[np.ndarray, "P N"]
    """the action that was given in time; 0: none"""
    correct: Bool[np.ndarray, "P N"]
    in_time: Bool[np.ndarray, "P N"]
    reward: Float[np.ndarray, "P N"]
    when: Float[np.ndarray, "P N"]
    """ms from the start of the epoch in which the answer was due"""

    def p_answered(self) -> list[float]:
        """Of all trials, one number a pair."""
        return self.in_time.mean(1).tolist()

    def p_correct(self, where: Shaped[np.ndarray, "..."] | bool = True) -> list[float]:
        """Of the trials that were answered in time; NaN where there are none."""
        seen = self.in_time & where
        with np.errstate(invalid="ignore"):
            return ((self.correct & seen).sum(1) / seen.sum(1)).tolist()


class Traces(NamedTuple):
    """What the networks of one pair did, step by step, in some trials."""

    given: dict[str, Shaped[np.ndarray, " N"]]
    answer: Int[np.ndarray, " N"]
    last: Int[np.ndarray, " N"]
    value: Float[np.ndarray, "T N"]
    value_rates: Float[np.ndarray, "T N U"]
    epoch: Int[np.ndarray, "T N"]


def educate(
    run: Run,
    name: str,
    task: Task,
    network: ModifiedGRU,
    rule: Song17,
    met: Met | None = None,
    seeds: int | None = None,
) -> Trained:
    """One pair a seed, trained until its criterion or the rule's `updates`; progress is said, weights are kept."""
    key, people = rng.root(run.seed), torch.arange(seeds or run.seeds)
    births = rng.fold(rng.fold(key, rng.INIT), people)
    birth = born(network, task.spec, len(people), births, torch.zeros(()), task.spec.reward_range[0])
    pair, history = train(birth, rule, Reward(), task, key, streams=people, met=met, told=_teller(run, name))
    kept = {"policy": pair.policy.weights, "value": pair.value.weights}
    save_file({which: weights.contiguous() for which, weights in kept.items()}, run.out / f"{name}.safetensors")
    return Trained(pair, birth, history, task, key)


def examined(trained: Trained, trials: int, *, pair: Pair | None = None, task: Any = None) -> Tested:
    """Test trials of the pairs, or of another `pair` (those at birth), of the task or of a variant of it."""
    task, pair = task or trained.task, pair or trained.pair
    key = rng.fold(trained.key, TESTED)
    lived = lives(pair.policy, task, torch.arange(trials), 0, key)
    given = conditions(task, trials, key)
    columns = [
        torch.cat([getattr(one, part) for one in lived], 1)
        for part in ("answer", "correct", "in_time", "reward", "last")
    ]
    answer, correct, in_time, reward, last = (column.numpy() for column in columns)
    due = task.epochs.index(task.responses[0])
    before = sum(given[f"ms.{name}"] for name in task.epochs[:due])
    return Tested(given, answer * in_time, correct, in_time, reward, last * task.dt - before)


def conditions(task: Any, trials: int, key: Int[torch.Tensor, ""]) -> dict[str, Shaped[np.ndarray, " N"]]:
    """What the test trials had drawn."""
    lifetime = torch.arange(trials)
    given = {name: value.numpy() for name, value in task.conditions(lifetime, 0, key).items()}
    bounds = task.epoch_bounds(lifetime, 0, key).numpy() * task.dt
    return given | {f"ms.{name}": np.diff(bounds[:, e], axis=-1)[:, 0] for e, name in enumerate(task.epochs)}


def traced(trained: Trained, seed: int, trials: int) -> Traces:
    """Both networks of one pair in test trials."""
    key, lifetime = rng.fold(trained.key, TESTED), torch.arange(trials)[None]
    one = Pair(
        *(
            cells._replace(
                **{part: getattr(cells, part)[seed : seed + 1] for part in ("weights", "mask", "alpha", "noise")}
            )
            for cells in trained.pair
        )
    )
    with torch.no_grad():
        decided: Decided = decide(one.policy, trained.task, lifetime, 0, key)
        ran = expect(one, decided, lifetime, 0, key)
    return Traces(
        conditions(trained.task, trials, key),
        (decided.answer * decided.in_time)[0].numpy(),
        decided.last[0].numpy(),
        ran.output[:, 0, :, 0].numpy(),
        ran.rates[:, 0].numpy(),
        decided.batch.epoch[:, 0].numpy(),
    )


def same_without_value(trained: Trained, trials: int = 200) -> float:
    """Share of test trials in which pairs do the same, step by step, once the value network is silenced."""
    key, lifetime = rng.fold(trained.key, TESTED), torch.arange(trials)[None]
    silent = trained.pair._replace(
        value=trained.pair.value._replace(weights=torch.zeros_like(trained.pair.value.weights))
    )
    with torch.no_grad():
        found = []
        for pair in (trained.pair, silent):
            decided = decide(pair.policy, trained.task, lifetime, 0, key)
            expect(pair, decided, lifetime, 0, key)
            found.append(torch.cat((decided.action, decided.answer[None])))
    return float((found[0] == found[1]).all(0).float().mean())


def _teller(run: Run, name: str) -> Callable[[Update | Look], None]:
    """Says what every validation saw."""

    def tell(seen: Update | Look) -> None:
        if isinstance(seen, Look):
            parts = zip(seen.p_answered.tolist(), seen.p_correct.tolist(), seen.met.tolist(), strict=True)
            pairs = "  ".join(f"{a:.3f}/{c:.3f}{' met' if met else ''}" for a, c, met in parts)
            run.say(f"{name}: after {seen.update} updates, answered/right of these: {pairs}")

    return tell
