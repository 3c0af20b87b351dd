"""Tasks of NeuroGym 2.3 (Molano-Mazón et al. 2022) as tasks of ours; seeds, first frames and no-go trials mended.

NeuroGym pins gymnasium < 1 and numpy 2.2, so it lives in an environment of its own (docs/tasks.md). What differs from
stepping it by hand:

- a life is seeded by fold(K, 0) (rng.py), and trials follow from that; NeuroGym's `reset(seed=…)` seeds no trial. What
  a constructor draws stays unseeded (DawTwoStep-v0: which state pays first).
- `reset` shows frame 0, which NeuroGym spends on an action of its own; so frame, answer, reward and target line up. An
  environment that makes no frames ahead (DawTwoStep-v0, Null-v0) shows zeros before its first step.
- a trial whose ground truth is 0 throughout, and in which nothing but 0 was answered, counts as right, whatever
  NeuroGym says about it.
- after a change of environment (`ScheduleEnvs`) the new one's first frame is shown, not the old one's.

`as_batch` gives whole trials beside their ground truth, for supervised learning.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, TaskSpec, TrialBatch
from metaplastic.tasks.adapters.answers import Answers
from metaplastic.tasks.adapters.neurogym_life import OneLife, hushed, named_channels, probed
from metaplastic.tasks.adapters.stateful import SEED_BITS, StatefulTask, Told, Worlds


class ManyLives(Worlds):
    """An environment a life; trials follow each other by themselves."""

    def __init__(self, task: NeuroGymTask, count: int) -> None:
        self.task, self.names = task, task.facts.epochs
        self.lives: list[OneLife] = []
        super().__init__(count, task.life().answers)

    def begin(self, seeds: list[int]) -> np.ndarray:
        """New environments, since old ones remember."""
        self.lives = [self.task.life() for _ in seeds]
        for life, seed in zip(self.lives, seeds, strict=True):
            life.begin(seed)
        return np.stack([life.shown() for life in self.lives])

    @hushed()
    def step(self, answers: np.ndarray, alive: np.ndarray) -> Told:
        """Step those that are alive."""
        count, outputs = self.count, (self.answers.size,) if self.answers.response == "control" else ()
        frame = np.zeros((count, self.task.facts.observations), np.float32)
        reward, score = np.zeros(count), np.zeros(count)
        ends, epoch = np.zeros(count, np.bool_), np.zeros(count, np.int8)
        target = np.full((count, *outputs), np.nan) if outputs else np.full(count, -1, np.int64)
        for lane in np.flatnonzero(alive):
            life, answer = self.lives[lane], answers[lane] if outputs else int(answers[lane])
            epoch[lane] = life.epoch(self.names)
            frame[lane], reward[lane], ends[lane], score[lane], truth = life.step(answer)
            if truth is not None:
                target[lane] = targets(np.asarray(truth)[None], self.answers)[0]
        return Told(frame, reward, ends, score, target, epoch)

    def close(self) -> None:
        """Forget them."""
        self.lives = []


def targets(truth: np.ndarray, answers: Answers) -> np.ndarray:
    """Ground truth [N, ...] as our answers; -1 where it is no action (Reaching1D-v0 gives an angle)."""
    ours = answers.ours(truth)
    if answers.response == "control":
        return ours
    return np.where((ours >= 0) & (ours < answers.size), ours, -1)


class NeuroGymTask(StatefulTask):
    """A task of NeuroGym."""

    references = (
        "Molano-Mazón et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks, "
        "PsyArXiv aqc9n",
    )
    tags = ("reward",)

    kind: Literal["NeuroGymTask"] = "NeuroGymTask"
    trials: int = Field(default=100, ge=1)
    """trials of a lifetime in which a learner may learn"""
    criterion: float = Field(default=0.8, gt=0, le=1)
    """score from which a trial counts as right, and the task as learned"""

    @hushed()
    def made(self) -> Any:
        """The environment.

        Raises:
            ConfigError: where NeuroGym is not installed or does not make it.
        """
        name = self.environment
        try:
            import neurogym  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as why:
            raise ConfigError(
                f"NeuroGymTask needs neurogym ({why}), whose pins (gymnasium < 1) want an environment of their own: "
                "`make neurogym` in this repository, or docs/tasks.md"
            ) from None
        import gymnasium

        try:
            return neurogym.make(name, **self.settings)
        except (gymnasium.error.Error, TypeError) as why:
            raise ConfigError(f"environment: {name} cannot be made: {why}") from None

    def life(self) -> OneLife:
        """An environment that has not begun."""
        return OneLife(self.made(), self.environment)

    def seeds(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*B"]) -> list[int]:
        """fold(K, 0) of each life; the trials follow from it."""
        del trial
        return (rng.parameter_keys(key) & SEED_BITS).reshape(-1).tolist()

    def open(self, count: int) -> Worlds:
        """An environment a life."""
        return ManyLives(self, count)

    @property
    def spec(self) -> TaskSpec:
        """Read from the environment, and from some of its trials."""
        life = self.life()
        epochs, longest = probed(life)
        size = int(np.prod(life.env.observation_space.shape))
        payments = [float(paid) for paid in _values(life.core.rewards) if np.ndim(paid) == 0]
        return self.described(
            life.answers,
            named_channels(getattr(life.env.observation_space, "name", {}), size),
            dt=float(life.core.dt),
            trial_steps=longest,
            epochs=epochs,
            action_names=_action_names(life.env.action_space, life.answers),
            reward_range=(min([0.0, *payments]), max([1.0, *payments])),
        )

    def as_batch(self, trials: int, *, lifetime: int = 0, seed: int = 0, folder: Path | None = None) -> TrialBatch:
        """So many trials of a life side by side, x [T, trials, I], with their ground truth y as one-hot actions or as
        outputs; kept in a folder, if one is given, and read from it the next time. What a wrapper of NeuroGym does only
        as it steps (ReactionTime) is not in it.

        Raises:
            ConfigError: if the environment gives no ground truth.
        """
        if folder is None:
            return self._batch(trials, lifetime, seed)
        import neurogym  # pyright: ignore[reportMissingImports]

        words = [neurogym.__version__, self.environment, self.settings, trials, lifetime, seed]
        name = hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()[:16]
        path = folder / f"{self.environment}-{name}.npz"
        if not path.exists():
            _write(path, self._batch(trials, lifetime, seed))
        with np.load(path) as kept:
            return TrialBatch(**{part: torch.from_numpy(kept[part]) for part in kept.files})

    @hushed()
    def _batch(self, trials: int, lifetime: int, seed: int) -> TrialBatch:
        life, names = self.life(), self.facts.epochs
        key = rng.lifetime_keys(seed, torch.tensor([lifetime]))
        life.begin(self.seeds(key, torch.zeros_like(key))[0])
        rows = [_trial(life, names, self.environment)]
        while len(rows) < trials:
            life.core._top.new_trial()
            rows.append(_trial(life, names, self.environment))
        length = torch.tensor([len(x) for x, _, _ in rows])
        x, y, epoch = (
            torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row[part]) for row in rows]) for part in range(3)
        )
        w = (torch.arange(len(x))[:, None] < length).to(torch.float32)
        return TrialBatch(x, y, w, epoch, torch.zeros(trials, dtype=torch.int64), length)


def _trial(life: OneLife, names: tuple[str, ...], environment: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames [T, I], targets [T, A] and epochs [T] of the trial that an environment has just made."""
    core, answers = life.core, life.answers
    if not core._has_gt:
        raise ConfigError(f"{environment} gives no ground truth, so its trials cannot be learned from by example")
    steps, epochs = len(core.ob), []
    for core.t_ind in range(steps):
        epochs.append(life.epoch(names))
    core.t_ind = 0
    y = targets(core.gt, answers)
    y = y if answers.response == "control" else y[:, None] == np.arange(answers.size)
    x = np.array(core.ob, np.float32).reshape(steps, -1)
    return x, np.array(y, np.float32), np.array(epochs, np.int8)


def _action_names(space: Any, answers: Answers) -> tuple[str, ...]:
    found = named_channels(getattr(space, "name", {}), answers.size)
    if answers.response == "control" or {"observation", "unnamed"} & set(found):
        return ()
    return tuple(
        name if end == first + 1 else f"{name}{i + 1}"
        for name, (first, end) in found.items()
        for i in range(end - first)
    )


def _values(rewards: Any) -> list[Any]:
    return list(rewards.values()) if isinstance(rewards, dict) else []


def _write(path: Path, batch: TrialBatch) -> None:
    """All or nothing: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {name: value.numpy() for name, value in batch._asdict().items() if isinstance(value, Tensor)}
    unfinished = path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(unfinished, allow_pickle=False, **parts)
    unfinished.replace(path)
