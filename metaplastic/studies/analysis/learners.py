"""Reference learners: what a known algorithm would have believed, trial by trial, of any recorded behaviour.

    softmax          P(a) = (1 - epsilon) exp(beta Q_a + stick [a = last]) / sum_b ... + epsilon / A              (1)
    Rescorla-Wagner  V_a += alpha (r - V_a), alpha_loss where r < V_a; others fall by `forget` towards `initial`  (2)
    Q-learning       delta = r + gamma max_b Q(s', b) - Q(s, a);  e = gamma lam e, e(s, a) = 1;  Q += alpha delta e (3)
    two-step         Q = w Q_MB + (1 - w) Q_MF,   Q_MB(a) = common V(s_a) + (1 - common) V(s_other),
                     V(s) = max_b Q2(s, b)                                                                        (4)
                     delta_2 = Q2(s, b) - Q_MF(a),   delta_r = r - Q2(s, b)
                     Q_MF(a) += alpha (delta_2 + lam delta_r),   Q2(s, b) += alpha2 delta_r                       (5)

Rescorla & Wagner 1972; Watkins 1989 with replacing traces that exploration does not cut; SARSA(lambda) and the hybrid
of Daw et al. 2011: (5) with w = 0 is SARSA(lam), w = 1 plans. `mirrored` says that what speaks for one arm (or state)
speaks against the other: V_other = 1 - V. Parameters that are tied take the value of another: alpha_loss and alpha2
that of alpha, beta2 that of beta.

A learner is a pure function of memory, parameters and trial; `fitting.py` fits it, `references.py` lets it play.
Shapes: T trials, E episodes, *B any batch that ends in E, A actions, S states. An action below 0 or a reward of NaN is
missing: nothing is learned from that trial.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

Parameters = Mapping[str, Any]
"""name -> number, or array that broadcasts against [*B]"""
Memory = dict[str, np.ndarray]


class Recorded(NamedTuple):
    """Behaviour, time first; [T, E], or one trial [E]."""

    action: Int[np.ndarray, "*TE"]
    reward: Shaped[np.ndarray, "*TE"]
    state: Int[np.ndarray, "*TE"] | None = None
    """Q-learning: where the action was taken; two-step: where it led, 0 or 1"""
    second: Int[np.ndarray, "*TE"] | None = None
    """two-step: action of the second stage, where it matters"""
    after: Int[np.ndarray, "*TE"] | None = None
    """Q-learning: the state after the action; below 0 where the episode ends"""

    def at(self, index: Any) -> Recorded:
        """A trial, or a part of the recording."""
        others = (None if field is None else field[index] for field in self[2:])
        return Recorded(self.action[index], self.reward[index], *others)


class Learner(ABC):
    """An algorithm with parameters, of which some are free for a fit."""

    bounds: ClassVar[Mapping[str, tuple[float, float]]]
    """every parameter and where a fit may look for it"""
    values: ClassVar[Mapping[str, float]]
    """of those that are neither free nor fixed nor tied"""
    tied: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, free: tuple[str, ...], fixed: Mapping[str, float] | None = None) -> None:
        """Raises: ValueError for a parameter that there is not, or that is both free and fixed."""
        self.free, self.fixed = free, dict(fixed or {})
        for name in (*free, *self.fixed):
            if name not in self.bounds:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self.bounds)}")
        if both := set(free) & set(self.fixed):
            raise ValueError(f"{sorted(both)} are free and fixed; wanted one of the two")

    def complete(self, given: Parameters) -> dict[str, Any]:
        """All parameters: those given, then fixed, tied and usual ones."""
        found = {**self.values, **self.fixed, **given}
        for name, other in self.tied.items():
            found.setdefault(name, found[other])
        return found

    @abstractmethod
    def start(self, shape: tuple[int, ...], p: Parameters) -> Memory:
        """Before the first trial of `shape` = [*B] episodes."""

    @abstractmethod
    def values_of(self, memory: Memory, p: Parameters, state: np.ndarray | None) -> Float[np.ndarray, "*B A"]:
        """What the actions of the (first) choice are worth."""

    @abstractmethod
    def learn(self, memory: Memory, p: Parameters, trial: Recorded) -> tuple[Memory, dict[str, np.ndarray]]:
        """The memory after a trial, and that trial's signals: values before it, errors in it."""

    def policy(self, memory: Memory, p: Parameters, state: np.ndarray | None = None) -> Float[np.ndarray, "*B A"]:
        """(1)."""
        values = self.values_of(memory, p, state)
        last = memory["last"][..., None] == np.arange(values.shape[-1])
        return softmax(wide(p["beta"]) * values + wide(p["stick"]) * last, wide(p["epsilon"]))

    def second_policy(self, memory: Memory, p: Parameters, state: np.ndarray) -> Float[np.ndarray, "*B A"] | None:
        """(1) for the second stage in `state`; None if there is none to choose."""
        del memory, p, state


def wide(x: Any) -> Any:
    """A parameter against [*B, A]."""
    return x[..., None] if isinstance(x, np.ndarray) else x


def softmax(drive: Float[np.ndarray, "*B A"], epsilon: Any = 0.0) -> Float[np.ndarray, "*B A"]:
    """exp(drive) / sum, mixed with `epsilon` of a random choice."""
    grown = np.exp(drive - drive.max(-1, keepdims=True))
    return (1 - epsilon) * grown / grown.sum(-1, keepdims=True) + epsilon / drive.shape[-1]


def _hot(index: np.ndarray, count: int) -> np.ndarray:
    return index[..., None] == np.arange(count)


def _error(target: np.ndarray, prediction: np.ndarray, action: np.ndarray) -> np.ndarray:
    """target - prediction; NaN where the trial is missing."""
    return np.where(action >= 0, target - prediction, np.nan)


_POLICY_BOUNDS = {"beta": (0.0, 30.0), "stick": (-5.0, 5.0), "epsilon": (0.0, 1.0)}
_POLICY_VALUES = {"stick": 0.0, "epsilon": 0.0}
_RATE = (0.0, 1.0)


class RescorlaWagner(Learner):
    """(2) for the arms of a bandit. Signals: q [*B, A] before the choice, delta [*B]."""

    bounds: ClassVar = {"alpha": _RATE, "alpha_loss": _RATE, "forget": _RATE, "initial": (-1.0, 1.0), **_POLICY_BOUNDS}
    values: ClassVar = {"forget": 0.0, "initial": 0.5, **_POLICY_VALUES}
    tied: ClassVar = {"alpha_loss": "alpha"}

    def __init__(
        self,
        arms: int = 2,
        free: tuple[str, ...] = ("alpha", "beta"),
        fixed: Mapping[str, float] | None = None,
        mirrored: bool = False,
    ) -> None:
        """`mirrored`: two arms that pay with p and 1 - p; a reward of one is a failure of the other."""
        super().__init__(free, fixed)
        self.arms, self.mirrored = arms, mirrored
        if mirrored and arms != 2:
            raise ValueError(f"mirrored with {arms} arms, wanted two")

    def start(self, shape: tuple[int, ...], p: Parameters) -> Memory:
        """Every arm is worth `initial`."""
        return {"q": np.zeros((*shape, self.arms)) + wide(p["initial"]), "last": np.full(shape, -1)}

    def values_of(self, memory: Memory, p: Parameters, state: np.ndarray | None) -> Float[np.ndarray, "*B A"]:
        """V."""
        del p, state
        return memory["q"]

    def learn(self, memory: Memory, p: Parameters, trial: Recorded) -> tuple[Memory, dict[str, np.ndarray]]:
        """(2)."""
        q, hot = memory["q"], _hot(trial.action, self.arms)
        delta = _error(trial.reward, np.where(hot, q, 0.0).sum(-1), trial.action)
        step = np.nan_to_num(np.where(delta < 0, p["alpha_loss"], p["alpha"]) * delta)[..., None]
        if self.mirrored:
            after = q + np.where(hot, step, -step)
        else:
            after = np.where(hot, q + step, q + wide(p["forget"]) * (wide(p["initial"]) - q))
        last = np.broadcast_to(trial.action, delta.shape)
        return {"q": after, "last": last}, {"q": q, "delta": delta}


class QLearning(Learner):
    """(3) for any states. Signals: q [*B, A] in the state before the choice, delta [*B]."""

    bounds: ClassVar = {"alpha": _RATE, "gamma": _RATE, "lam": _RATE, "initial": (-1.0, 1.0), **_POLICY_BOUNDS}
    values: ClassVar = {"gamma": 0.9, "lam": 0.0, "initial": 0.0, **_POLICY_VALUES}

    def __init__(
        self,
        states: int,
        actions: int,
        free: tuple[str, ...] = ("alpha", "beta"),
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        """Sizes of the table."""
        super().__init__(free, fixed)
        self.states, self.actions = states, actions

    def start(self, shape: tuple[int, ...], p: Parameters) -> Memory:
        """Every action is worth `initial`."""
        table = np.zeros((*shape, self.states, self.actions))
        return {"q": table + wide(wide(p["initial"])), "trace": table, "last": np.full(shape, -1)}

    def values_of(self, memory: Memory, p: Parameters, state: np.ndarray | None) -> Float[np.ndarray, "*B A"]:
        """The row of the state; the only one if no state is given."""
        del p
        q = memory["q"]
        if state is None:
            return q[..., 0, :]
        return np.where(_hot(state, self.states)[..., None], q, 0.0).sum(-2)

    def learn(self, memory: Memory, p: Parameters, trial: Recorded) -> tuple[Memory, dict[str, np.ndarray]]:
        """(3); without `after`, every trial ends an episode."""
        q, zero = memory["q"], np.zeros_like(trial.action)
        state = zero if trial.state is None else trial.state
        after = zero - 1 if trial.after is None else trial.after
        here = self.values_of(memory, p, state)
        hot = _hot(trial.action, self.actions)
        ahead = np.where(after >= 0, self.values_of(memory, p, np.maximum(after, 0)).max(-1), 0.0)
        delta = _error(trial.reward + p["gamma"] * ahead, np.where(hot, here, 0.0).sum(-1), trial.action)
        visited = _hot(state, self.states)[..., None] & hot[..., None, :]
        trace = np.where(visited, 1.0, wide(wide(p["gamma"] * p["lam"])) * memory["trace"])
        q = q + np.nan_to_num(p["alpha"] * delta)[..., None, None] * trace
        trace = np.where((after >= 0)[..., None, None], trace, 0.0)
        last = np.broadcast_to(trial.action, delta.shape)
        return {"q": q, "trace": trace, "last": last}, {"q": here, "delta": delta}


class TwoStepLearner(Learner):
    """(4) and (5). Signals [*B]: delta_2 and delta_r of (5); delta_mb = V(s) - Q_MB(a); and q [*B, 2] of (4)."""

    bounds: ClassVar = {
        **dict.fromkeys(("alpha", "alpha2", "lam", "w", "initial"), _RATE),
        **_POLICY_BOUNDS,
        "beta2": (0.0, 30.0),
    }
    values: ClassVar = {"lam": 1.0, "initial": 0.5, **_POLICY_VALUES}
    tied: ClassVar = {"alpha2": "alpha", "beta2": "beta"}

    def __init__(
        self,
        common: float = 0.8,
        second_actions: int = 1,
        free: tuple[str, ...] = ("alpha", "beta", "lam", "w", "stick"),
        fixed: Mapping[str, float] | None = None,
        mirrored: bool = False,
    ) -> None:
        """`second_actions` is 1 where the second action does not matter (Wang et al. 2018), 2 in Daw et al. 2011."""
        super().__init__(free, fixed)
        self.common, self.second_actions, self.mirrored = common, second_actions, mirrored
        if mirrored and second_actions != 1:
            raise ValueError(f"mirrored with {second_actions} second actions, wanted 1: only states can be mirrored")

    def start(self, shape: tuple[int, ...], p: Parameters) -> Memory:
        """Everything is worth `initial`."""
        initial = wide(p["initial"])
        first, second = np.zeros((*shape, 2)) + initial, np.zeros((*shape, 2, self.second_actions)) + wide(initial)
        return {"q1": first, "q2": second, "last": np.full(shape, -1)}

    def _planned(self, memory: Memory) -> tuple[np.ndarray, np.ndarray]:
        """V and Q_MB."""
        value = memory["q2"].max(-1)
        return value, self.common * value + (1 - self.common) * value[..., ::-1]

    def values_of(self, memory: Memory, p: Parameters, state: np.ndarray | None) -> Float[np.ndarray, "*B A"]:
        """(4)."""
        del state
        w = wide(p["w"])
        return w * self._planned(memory)[1] + (1 - w) * memory["q1"]

    def second_policy(self, memory: Memory, p: Parameters, state: np.ndarray) -> Float[np.ndarray, "*B A"] | None:
        """Softmax of Q2(s)."""
        if self.second_actions == 1:
            return None
        return softmax(wide(p["beta2"]) * np.where(_hot(state, 2)[..., None], memory["q2"], 0.0).sum(-2))

    def learn(self, memory: Memory, p: Parameters, trial: Recorded) -> tuple[Memory, dict[str, np.ndarray]]:
        """(5)."""
        if trial.state is None:
            raise ValueError("the recording has no state, wanted the state of the second stage, 0 or 1, at every trial")
        second = np.zeros_like(trial.action) if trial.second is None else trial.second
        hot, there = _hot(trial.action, 2), _hot(trial.state, 2)
        pair = there[..., None] & _hot(second, self.second_actions)[..., None, :]
        q1, q2, (value, planned) = memory["q1"], memory["q2"], self._planned(memory)
        got = np.where(pair, q2, 0.0).sum((-2, -1))
        delta_2 = _error(got, np.where(hot, q1, 0.0).sum(-1), trial.action)
        delta_r = _error(trial.reward, got, trial.action)
        delta_mb = _error(np.where(there, value, 0.0).sum(-1), np.where(hot, planned, 0.0).sum(-1), trial.action)
        credit = np.nan_to_num(p["alpha"] * (delta_2 + p["lam"] * delta_r))
        step = np.nan_to_num(p["alpha2"] * delta_r)[..., None, None]
        signals = {"delta_2": delta_2, "delta_r": delta_r, "delta_mb": delta_mb, "q": self.values_of(memory, p, None)}
        return {
            "q1": q1 + credit[..., None] * hot,
            "q2": q2 + (np.where(pair, step, -step) if self.mirrored else step * pair),
            "last": np.broadcast_to(trial.action, delta_r.shape),
        }, signals


def followed(learner: Learner, recorded: Recorded, parameters: Parameters) -> dict[str, np.ndarray]:
    """The learner's signals at every trial [T, *B, ...] if it had lived this behaviour with these parameters.

    Parameters may be arrays [M, 1]: the batch *B is then [M, E]. A parameter that has no part in the signals (beta, w)
    may be left out if it is given any value.
    """
    p = learner.complete(parameters)
    shape = np.broadcast_shapes(recorded.action.shape[1:], *(np.shape(x) for x in p.values()))
    memory, rows = learner.start(shape, p), []
    for t in range(len(recorded.action)):
        memory, signals = learner.learn(memory, p, recorded.at(t))
        rows.append(signals)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
