"""Tasks as Gymnasium environments: many lives at once (`TensorVectorEnv`), one life (`TensorEnv`), and their names.

    from metaplastic.tasks.adapters import gymnasium_bridge  # makes the names known
    env = gymnasium.make("metaplastic/Bandit-v0", arms=3)
    envs = gymnasium.make_vec("metaplastic/TwoStep.wang18-v0", 4096)

or, where only a name is given, "metaplastic.tasks.adapters.gymnasium_bridge:metaplastic/Bandit-v0". Gymnasium 1.0 took
back the entry points by which it was enough to install a package.

An episode is a lifetime: all its trials, then `terminated`. `reset(seed=s)` lives the lifetimes of that seed
(lives.py), of which `TensorEnv` lives the one of lane 0; `reset()`, or a life's end, begins the next. Many lives reset
in the same step; what was seen at the end is in `infos["final_obs"]` where `infos["_final_obs"]`. Infos hold the fields
of `base.Info`, about the frame that was just answered; as tensors they belong to the state, so do not write to them.

EvoTorch's VecGymNE takes `functools.partial(TensorVectorEnv, "Bandit-v0", output="torch")` as its environment, and its
tensors pass through without a copy.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from torch import Tensor

from metaplastic.tasks.adapters.lives import Lives, check_count
from metaplastic.tasks.base import TensorTask, TimeStep
from metaplastic.tasks.registry import TASKS

NAMESPACE = "metaplastic"
"""before the slash of every id"""

_SAME_STEP = getattr(getattr(gymnasium.vector, "AutoresetMode", None), "SAME_STEP", None)


class _Life(Lives):
    """A task and its spaces; what both environments have in common."""

    def __init__(self, task: str | TensorTask, preset: str | None, bound: float, settings: dict[str, Any]) -> None:
        super().__init__(task, preset, settings)
        facts = self.task.facts
        self.seen = spaces.Box(-np.inf, np.inf, (facts.observations,), np.float32)
        box = spaces.Box(-bound, bound, (facts.actions,), np.float32)
        self.answers = box if self.is_output else spaces.Discrete(facts.actions)


class TensorVectorEnv(gymnasium.vector.VectorEnv):
    """Many lives of a task in step."""

    metadata = {"render_modes": [], "autoreset_mode": _SAME_STEP}  # noqa: RUF012 as Gymnasium writes it

    def __init__(
        self,
        task: str | TensorTask,
        num_envs: int = 1,
        *,
        preset: str | None = None,
        device: torch.device | str = "cpu",
        output: str = "numpy",
        bound: float = 1.0,
        **settings: Any,
    ) -> None:
        """`task` is an id (with a preset and settings) or a task; `bound` is the largest output of a continuous one.

        Raises:
            ValueError: for another `output`, or a number of lanes that is not in [1, 2^20].
        """
        if output not in ("numpy", "torch"):
            raise ValueError(f"output is {output!r}, wanted numpy or torch")
        check_count(num_envs, "num_envs")
        self._life = _Life(task, preset, bound, settings)
        self.task = self._life.task
        self.num_envs, self.device, self.output = num_envs, torch.device(device), output
        self.single_observation_space, self.single_action_space = self._life.seen, self._life.answers
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state: Any = None

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Observations [N, I] of new lives: those of a seed, or the next ones of every lane."""
        super().reset(seed=seed if isinstance(seed, int) else None, options=options)
        if seed is None and self._state is None:
            seed = int(self.np_random.integers(1 << 31))
        self._state, now = self._life.begin(self._state, seed, self.num_envs, self.device)
        return self._out(now.observation), self._infos(now)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Observations, rewards, terminated, truncated and infos of all lanes.

        Raises:
            ValueError: before `reset`, or if the actions do not have one row a lane.
        """
        if self._state is None:
            raise ValueError("there is no life yet; call reset first")
        action = self._life.action(actions, self.num_envs, self.device)
        self._state, now = self._life.endless.step(self._state, action)
        infos, over = self._infos(now), now.terminated | now.truncated
        if self.output == "torch" or bool(over.any()):
            infos |= {"final_obs": self._out(self._state.kept.final), "_final_obs": self._out(over)}
        told = (now.observation, now.reward, now.terminated, now.truncated)
        observation, reward, terminated, truncated = map(self._out, told)
        return observation, reward, terminated, truncated, infos

    def _out(self, value: Tensor) -> Any:
        return value if self.output == "torch" else value.numpy(force=True)

    def _infos(self, now: TimeStep) -> dict[str, Any]:
        infos = now.info._asdict()
        return infos if self.output == "torch" else {name: _copy(value) for name, value in infos.items()}


class TensorEnv(gymnasium.Env):
    """One life of a task."""

    metadata = {"render_modes": []}  # noqa: RUF012 as Gymnasium writes it

    def __init__(
        self, task: str | TensorTask, *, preset: str | None = None, bound: float = 1.0, **settings: Any
    ) -> None:
        """`task` is an id (with a preset and settings) or a task; `bound` is the largest output of a continuous one."""
        self._life = _Life(task, preset, bound, settings)
        self.task = self._life.task
        self.observation_space, self.action_space = self._life.seen, self._life.answers
        self._state: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The first frame of the life of a seed, or of the next life."""
        super().reset(seed=seed, options=options)
        if seed is None and self._state is None:
            seed = int(self.np_random.integers(1 << 31))
        self._state, now = self._life.begin(self._state, seed, 1, torch.device("cpu"))
        return now.observation[0].numpy(force=True), _first(now)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """What came of an action; a life that is over stays so until `reset`.

        Raises:
            ValueError: before `reset`.
        """
        if self._state is None:
            raise ValueError("there is no life yet; call reset first")
        answer = self._life.action(np.asarray(action)[None], 1, torch.device("cpu"))
        self._state, now = self._life.step_once(self._state, answer)
        told = (now.reward.item(), bool(now.terminated), bool(now.truncated))
        return now.observation[0].numpy(force=True), *told, _first(now)


def _first(now: TimeStep) -> dict[str, Any]:
    return {name: _copy(value[0]) for name, value in now.info._asdict().items()}


def _copy(value: Tensor) -> np.ndarray:
    return np.array(value.numpy(force=True))


def register_gymnasium() -> list[str]:
    """Make every task known to `gymnasium.make` and `make_vec`, by id and by preset; gives the names, again and again.

    `metaplastic/Name-vN` is the task, `metaplastic/Name.preset-vN` one of its presets; settings go to `make`.
    """
    names = []
    for id, cls in TASKS.items():
        base, _, version = id.rpartition("-v")
        for preset in (None, *cls.presets):
            name = f"{NAMESPACE}/{base}{f'.{preset}' if preset else ''}-v{version}"
            names.append(name)
            if name in gymnasium.registry:
                continue
            gymnasium.register(
                name,
                entry_point=f"{__name__}:TensorEnv",
                vector_entry_point=f"{__name__}:TensorVectorEnv",
                kwargs={"task": id, "preset": preset},
            )
    return names


register_gymnasium()  # Gymnasium expects of a module of environments that importing it is enough
