"""Environments of Gymnasium as tasks: CartPole-v1, Ant-v5, or what a module registers (`mylab.mazes:Maze-v0`).

    score of an episode = (return - worst) / (best - worst), within [0, 1]                                        (1)

`best` is the environment's reward threshold where it names one. `sync` steps one environment a life, and only those
whose life goes on; each episode has a seed of its own. `vector` makes the environment's own vector version, much faster
where there is one, but all its lanes come from one seed, that of the first life, so that numbers depend on the batch,
and a life is one episode. Processes (`AsyncVectorEnv`) are left out: for quick environments they are slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from metaplastic.core import ConfigError, TaskSpec, wrong
from metaplastic.tasks.adapters.answers import Answers, answers_of, channels_of, flat
from metaplastic.tasks.adapters.stateful import StatefulTask, Told, Worlds

Grade = Callable[[np.ndarray], np.ndarray]
"""returns of episodes -> their scores (1)"""


class _Returns(Worlds):
    """Environments that are scored by their return."""

    def __init__(self, count: int, answers: Answers, grade: Grade) -> None:
        super().__init__(count, answers)
        self.grade = grade
        self.total = np.zeros(count)
        self.unknown = np.full(count, -1, np.int64)
        if answers.response == "control":
            self.unknown = np.full((count, answers.size), np.nan)

    def told(self, frame: np.ndarray, reward: np.ndarray, ends: np.ndarray) -> Told:
        """What all lanes said; no target is known, and a trial has no parts."""
        self.total = self.total + reward
        return Told(frame, reward, ends, self.grade(self.total), self.unknown, np.zeros(self.count, np.int8))


class EachLife(_Returns):
    """One environment a life."""

    def __init__(self, envs: list[Any], answers: Answers, grade: Grade) -> None:
        super().__init__(len(envs), answers, grade)
        self.envs = envs
        self.frame = np.zeros((0, 0), np.float32)

    def begin(self, seeds: list[int]) -> np.ndarray:
        """Reset all of them."""
        self.total = np.zeros(self.count)
        self.frame = np.stack([self._first(env, seed) for env, seed in zip(self.envs, seeds, strict=True)])
        return self.frame

    def step(self, answers: np.ndarray, alive: np.ndarray) -> Told:
        """Step those that are alive."""
        self.frame, reward, ends = self.frame.copy(), np.zeros(self.count), np.zeros(self.count, np.bool_)
        for lane in np.flatnonzero(alive):
            env = self.envs[lane]
            answer = answers[lane] if answers.ndim > 1 else answers[lane].item()
            seen, reward[lane], terminated, truncated, _ = env.step(answer)
            self.frame[lane] = flat(env.observation_space, seen)
            ends[lane] = terminated or truncated
        return self.told(self.frame, reward, ends)

    def renew(self, frame: np.ndarray, lanes: np.ndarray, seeds: list[int]) -> np.ndarray:
        """Reset these."""
        self.frame = frame.copy()
        for lane in np.flatnonzero(lanes):
            self.frame[lane] = self._first(self.envs[lane], seeds[lane])
            self.total[lane] = 0.0
        return self.frame

    def close(self) -> None:
        """Close them."""
        for env in self.envs:
            env.close()

    @staticmethod
    def _first(env: Any, seed: int) -> np.ndarray:
        return flat(env.observation_space, env.reset(seed=seed)[0])


class OneVector(_Returns):
    """A vector environment that lives one episode in every lane; what comes after it is ignored."""

    def __init__(self, envs: Any, answers: Answers, grade: Grade) -> None:
        super().__init__(envs.num_envs, answers, grade)
        self.envs = envs

    def begin(self, seeds: list[int]) -> np.ndarray:
        """Reset it with the seed of the first life."""
        self.total = np.zeros(self.count)
        return self._rows(self.envs.reset(seed=seeds[0])[0])

    def step(self, answers: np.ndarray, alive: np.ndarray) -> Told:
        """Step all lanes."""
        seen, reward, terminated, truncated, _ = self.envs.step(answers)
        return self.told(self._rows(seen), np.asarray(reward) * alive, np.asarray(terminated) | np.asarray(truncated))

    def close(self) -> None:
        """Close it."""
        self.envs.close()

    def _rows(self, seen: Any) -> np.ndarray:
        return np.asarray(seen, np.float32).reshape(self.count, -1)


class GymnasiumTask(StatefulTask):
    """An environment of Gymnasium."""

    references = (
        "Towers et al. 2024, Gymnasium: a standard interface for reinforcement learning environments, arXiv:2407.17032",
    )
    tags = ("reward",)

    kind: Literal["GymnasiumTask"] = "GymnasiumTask"
    mode: Literal["sync", "vector"] = "sync"
    """one environment a life, or the environment's own vector version"""
    longest: int | None = Field(default=None, ge=1)
    """steps after which an episode is cut; the environment's own limit, if absent"""
    worst: float = 0.0
    """return of an episode that scores 0 (1)"""
    best: float | None = None
    """return of an episode that scores 1; the environment's reward threshold, if absent"""
    dt: float = Field(default=1.0, gt=0)
    """ms that a step stands for; environments do not say it"""

    @model_validator(mode="after")
    def _possible(self) -> GymnasiumTask:
        if self.best is not None and self.best <= self.worst:
            raise wrong(f"best is {self.best:g}, wanted more than worst, which is {self.worst:g}")
        if self.mode == "vector" and self.lifetime_trials != 1:
            raise wrong(
                f"a vector environment lives one episode a life, and there are {self.lifetime_trials} trials; "
                "use trials: 1 and test_trials: 0, or mode: sync"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Read from the spaces of the environment, which is made for it."""
        env = self._made()
        try:
            answers = answers_of(env.action_space, self.environment)
            channels = channels_of(env.observation_space, self.environment)
        finally:
            env.close()
        steps = getattr(env.spec, "max_episode_steps", None)
        if steps is None:
            raise ConfigError(f"{self.environment} has no longest episode; give longest, the steps until it is cut")
        self._best(env)
        return self.described(answers, channels, dt=self.dt, trial_steps=steps, reward_range=(-np.inf, np.inf))

    def open(self, count: int) -> Worlds:
        """One environment a life, or one vector of them."""
        first = self._made()
        answers, best = answers_of(first.action_space, self.environment), self._best(first)

        def grade(total: np.ndarray) -> np.ndarray:
            return np.clip((total - self.worst) / (best - self.worst), 0.0, 1.0)

        if self.mode == "sync":
            return EachLife([first, *(self._made() for _ in range(count - 1))], answers, grade)
        first.close()
        return OneVector(self._vector(count), answers, grade)

    def _made(self) -> Any:
        import gymnasium  # here, since the registry of tasks names this class

        try:
            return gymnasium.make(self.environment, max_episode_steps=self.longest, **self.settings)
        except (gymnasium.error.Error, ModuleNotFoundError) as why:
            raise ConfigError(f"environment: {self.environment} cannot be made: {why}") from None

    def _vector(self, count: int) -> Any:
        import gymnasium

        limit = {} if self.longest is None else {"max_episode_steps": self.longest}
        try:
            return gymnasium.make_vec(
                self.environment, count, vectorization_mode="vector_entry_point", **limit, **self.settings
            )
        except gymnasium.error.Error as why:
            raise ConfigError(f"{self.environment} has no vector version; use mode: sync ({why})") from None

    def _best(self, env: Any) -> float:
        best = getattr(env.spec, "reward_threshold", None) if self.best is None else self.best
        if best is None:
            raise ConfigError(
                f"{self.environment} names no reward threshold; give best, the return that scores 1 (and worst, 0)"
            )
        return best
