"""Reference algorithms that play the tasks themselves: curves to hold a trained network against.

Players of bandits (random, Thompson, UCB, the Bayesian optimum) are in `tasks.bandits.players`. Here are the learners
of `learners.py` on any task of one-step decisions and on the two-step task, all lifetimes at once; the Bayesian of the
two-step task, greedy in its belief that state 0 is the good one,

    odds += +-ln(good / bad) by what state s paid;   p = p (1 - h) + (1 - p) h at each reversal with hazard h    (1)

and curves of expected regret. Standard errors here are over tasks, since an algorithm has no seed of training.
Shapes: T trials, E lifetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.studies.analysis.learners import Learner, Memory, Parameters, QLearning, Recorded, RescorlaWagner
from metaplastic.tasks.bandits.independent import ArmsTask
from metaplastic.tasks.bandits.players import UCB, Bayes, Mirrored, Played, Player, Random, Thompson, play, regret
from metaplastic.tasks.bandits.two_step import TwoStep
from metaplastic.tasks.base import TensorTask

_SURE = 1e9
"""inverse temperature of a greedy choice; equal values are still drawn alike"""


class BayesTwoStep(Learner):
    """(1). Signals: belief [*B] that state 0 is the good one, before the choice."""

    bounds: ClassVar = {"beta": (0.0, _SURE), "stick": (-5.0, 5.0), "epsilon": (0.0, 1.0)}
    values: ClassVar = {"beta": _SURE, "stick": 0.0, "epsilon": 0.0}

    def __init__(
        self,
        common: float = 0.8,
        good: float = 0.9,
        bad: float = 0.1,
        reversal: float = 0.025,
        free: tuple[str, ...] = (),
    ) -> None:
        """The settings of the task, which it knows."""
        super().__init__(free)
        self.common, self.good, self.bad, self.reversal = common, good, bad, reversal

    def start(self, shape: tuple[int, ...], p: Parameters) -> Memory:
        """Both alike."""
        del p
        return {"belief": np.full(shape, 0.5), "last": np.full(shape, -1)}

    def values_of(self, memory: Memory, p: Parameters, state: np.ndarray | None) -> Float[np.ndarray, "*B A"]:
        """Expected reward of both actions."""
        del p, state
        good = np.stack((memory["belief"], 1 - memory["belief"]), -1)
        reached = self.common * good + (1 - self.common) * (1 - good)
        return self.bad + (self.good - self.bad) * reached

    def learn(self, memory: Memory, p: Parameters, trial: Recorded) -> tuple[Memory, dict[str, np.ndarray]]:
        """(1)."""
        del p
        if trial.state is None:
            raise ValueError("the recording has no state, wanted the state of the second stage, 0 or 1, at every trial")
        belief = memory["belief"]
        if_good = np.where(trial.reward > 0, self.good, 1 - self.good)
        if_bad = np.where(trial.reward > 0, self.bad, 1 - self.bad)
        first, second = (np.where(trial.state == k, if_good, if_bad) for k in (0, 1))
        after = belief * first / (belief * first + (1 - belief) * second)
        after = np.where((trial.action >= 0) & np.isfinite(trial.reward), after, belief)
        after = after * (1 - self.reversal) + (1 - after) * self.reversal
        return {"belief": after, "last": np.broadcast_to(trial.action, after.shape)}, {"belief": belief}


def sampled(policy: Float[np.ndarray, "*B A"], key: Int[Tensor, "*B"], word: int = 0) -> Int[np.ndarray, "*B"]:
    """An action a key, drawn from the policy."""
    u = rng.uniform(rng.word(key, word)).double().numpy()[..., None]
    edges = policy.cumsum(-1)
    return (u >= edges[..., :-1] / edges[..., -1:]).sum(-1)


def played(
    task: TensorTask,
    learner: Learner,
    parameters: Parameters,
    lifetime: Int[Tensor, " E"],
    trials: int,
    seed: int = 0,
) -> Recorded:
    """A learner in `trials` trials of every lifetime of a task of one-step decisions, or of the two-step task.

    Raises:
        ValueError: for a two-step task with `one_action`, which shows no second stage before the choice.
    """
    if isinstance(task, TwoStep):
        return _played_two_step(task, learner, learner.complete(parameters), lifetime, trials, seed)
    p, keys = learner.complete(parameters), rng.lifetime_keys(seed, lifetime, rng.POLICY)
    state, _ = task.reset(lifetime, seed)
    memory, rows = learner.start(tuple(lifetime.shape), p), []
    for t in range(trials):
        action = sampled(learner.policy(memory, p), rng.trial_keys(keys, t))
        state, seen = task.step(state, torch.from_numpy(action))
        rows.append(Recorded(action, seen.reward.double().numpy()))
        memory, _ = learner.learn(memory, p, rows[-1])
    return _stacked(rows)


def _played_two_step(
    task: TwoStep, learner: Learner, p: Mapping[str, Any], lifetime: Int[Tensor, " E"], trials: int, seed: int
) -> Recorded:
    """Two steps a trial: the first choice, then where it led is looked up and the second one made."""
    if task.one_action:
        raise ValueError("the task has one_action: true, so a step shows no second stage; wanted one_action: false")
    first, end = task.facts.channels["stage"]
    keys = rng.lifetime_keys(seed, lifetime, rng.POLICY)
    world, _ = task.reset(lifetime, seed)
    memory, rows = learner.start(tuple(lifetime.shape), p), []
    for t in range(trials):
        key = rng.trial_keys(keys, t)
        action = sampled(learner.policy(memory, p), key)
        world, seen = task.step(world, torch.from_numpy(action))
        place = (seen.observation[..., first:end].argmax(-1) - 1).numpy()
        choice = learner.second_policy(memory, p, place)
        second = np.zeros_like(action) if choice is None else sampled(choice, key, 1)
        world, seen = task.step(world, torch.from_numpy(second))
        rows.append(Recorded(action, seen.reward.double().numpy(), place, second))
        memory, _ = learner.learn(memory, p, rows[-1])
    return _stacked(rows)


def _stacked(rows: list[Recorded]) -> Recorded:
    action, reward, *others = zip(*rows, strict=True)
    return Recorded(np.stack(action), np.stack(reward), *(None if x[0] is None else np.stack(x) for x in others))


class Curve(NamedTuple):
    """A curve over trials and its standard error over tasks."""

    mean: Float[np.ndarray, " T"]
    sem: Float[np.ndarray, " T"]


def bandit_references(trials: int, arms: int = 2) -> dict[str, Player | tuple[Learner, dict[str, float]]]:
    """Name -> algorithm, for the table of regrets; the two optima only with two arms (the first up to 128 trials).

    Rescorla-Wagner has the fixed rate of .5 that Wang et al. 2016 compare with.
    """
    found: dict[str, Player | tuple[Learner, dict[str, float]]] = {
        "random": Random(),
        "Thompson": Thompson(),
        **{f"UCB {chi:g}": UCB(chi) for chi in (1.0, 0.5, 2.0)},
        "Rescorla-Wagner": (RescorlaWagner(arms), {"alpha": 0.5, "beta": 5.0}),
        "Q-learning": (QLearning(1, arms), {"alpha": 0.1, "beta": 10.0, "initial": 0.5}),
    }
    if arms == 2:
        found["Bayes, p and 1 - p"] = Mirrored()
        if trials <= 128:
            found["Bayes, independent"] = Bayes(trials)
    return found


def regret_curve(
    task: ArmsTask, reference: Player | tuple[Learner, Parameters], lifetimes: int, trials: int = 100, seed: int = 0
) -> Curve:
    """Expected regret summed up to each trial, of a player, or of a learner with its parameters."""
    lifetime = torch.arange(lifetimes)
    if isinstance(reference, Player):
        lived = play(task, reference, lifetime, trials, seed)
    else:
        recorded = played(task, *reference, lifetime, trials, seed)
        lived = Played(torch.from_numpy(recorded.action), torch.from_numpy(recorded.reward).float())
    found = regret(task, lived, lifetime, seed).double()
    return Curve(found.mean(1).numpy(), (found.std(1) / lifetimes**0.5).numpy())
