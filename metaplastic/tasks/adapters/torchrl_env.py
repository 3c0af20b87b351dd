"""Tasks as environments of TorchRL: many lives in one batch, tensors throughout.

    env = TensorTaskEnv("Bandit-v0", 4096, arms=3, device="cuda")
    rollout = env.rollout(100, policy, break_when_any_done=False)

Read: `observation`; answered: `action` (numbers of actions, or outputs); told: `reward`, `terminated`, `truncated`, and
about the frame that was just answered `trial`, `epoch`, `target`, `weight` and `score`. Lives are numbered as in the
other libraries (lives.py): `set_seed(s)` begins with those of seed s; a reset, of all or of those in `_reset`, begins
the next of each lane. The state lies in the tensordict, under `task_state`: a step is a function of what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDict  # pyright: ignore[reportMissingImports]
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, Unbounded  # pyright: ignore[reportMissingImports]
from torchrl.envs import EnvBase  # pyright: ignore[reportMissingImports]

from metaplastic.tasks.adapters.lives import Lives, check_count
from metaplastic.tasks.base import TensorTask, TimeStep, choose, leaves, rebuilt

TOLD = ("trial", "epoch", "target", "weight", "score")
"""fields of `base.Info` that are shown"""
STATE = "task_state"


class TensorTaskEnv(EnvBase):
    """Many lives of a task in step."""

    batch_locked = True

    def __init__(
        self,
        task: str | TensorTask,
        lanes: int = 1,
        *,
        preset: str | None = None,
        device: torch.device | str = "cpu",
        bound: float = 1.0,
        **settings: Any,
    ) -> None:
        """`task` is an id (with a preset and settings) or a task; `bound` is the largest output of a continuous one."""
        check_count(lanes, "lanes")
        self._lives = Lives(task, preset, settings)
        super().__init__(device=device, batch_size=(lanes,))
        self._seed, self._last = 0, None
        self._form, now = self._lives.begin(None, 0, lanes, torch.device(device))
        shown = {"observation": _spec(now.observation), **{name: _spec(getattr(now.info, name)) for name in TOLD}}
        parts = Composite({name: _spec(leaf) for name, leaf in self._parts(self._form).items()}, shape=(lanes,))
        self.observation_spec = Composite({**shown, STATE: parts}, shape=(lanes,))  # so that it is handed on
        self.state_spec = Composite({STATE: parts.clone()}, shape=(lanes,))
        count, here = self._lives.task.facts.actions, {"device": device}
        outputs = Bounded(-bound, bound, (lanes, count), dtype=torch.float32, **here)
        self.action_spec = outputs if self._lives.is_output else Categorical(count, (lanes,), dtype=torch.int64, **here)
        self.reward_spec = Unbounded((lanes, 1), dtype=torch.float32, **here)
        flag = Categorical(2, (lanes, 1), dtype=torch.bool, **here)
        self.full_done_spec = Composite(
            {"done": flag, "terminated": flag.clone(), "truncated": flag.clone()}, shape=(lanes,)
        )

    def _set_seed(self, seed: int | None) -> None:
        """Begin with the lives of this seed."""
        self._seed, self._last = 0 if seed is None else seed, None

    def _reset(self, tensordict: Any = None, **_: Any) -> Any:
        lanes, device = self.batch_size[0], torch.device(self.device or "cpu")
        state = self._last if tensordict is None or STATE not in tensordict else self._state(tensordict)
        after, now = self._lives.begin(state, self._seed if state is None else None, lanes, device)
        if tensordict is not None and "_reset" in tensordict:  # TorchRL itself keeps what is shown in other lanes
            after = choose(tensordict.get("_reset").reshape(lanes), after, state)
        self._last = after
        return self._dict({**self._shown(now), STATE: self._parts(after)})

    def _step(self, tensordict: Any) -> Any:
        lanes, device = self.batch_size[0], torch.device(self.device or "cpu")
        action = self._lives.action(tensordict.get("action"), lanes, device)
        state, now = self._lives.step_once(self._state(tensordict), action)
        told = {"reward": now.reward, "terminated": now.terminated, "truncated": now.truncated}
        told["done"] = now.terminated | now.truncated
        columns = {name: value[:, None] for name, value in told.items()}
        return self._dict({**self._shown(now), **columns, STATE: self._parts(state)})

    def _dict(self, rows: dict[str, Any]) -> Any:
        return TensorDict(rows, batch_size=self.batch_size, device=self.device)

    @staticmethod
    def _shown(now: TimeStep) -> dict[str, Tensor]:
        return {"observation": now.observation, **{name: getattr(now.info, name) for name in TOLD}}

    @staticmethod
    def _parts(state: Any) -> dict[str, Tensor]:
        return {str(i): leaf for i, leaf in enumerate(leaves(state))}

    def _state(self, tensordict: Any) -> Any:
        held = tensordict.get(STATE)
        return _filled(self._form, iter([held.get(name) for name in self._parts(self._form)]))


def _spec(value: Tensor) -> Any:
    if value.dtype == torch.bool:
        return Categorical(2, value.shape, dtype=torch.bool, device=value.device)
    return Unbounded(value.shape, dtype=value.dtype, device=value.device)


def _filled(like: Any, parts: Iterator[Tensor]) -> Any:
    """Nested tuples of the form of `like` with these tensors, in the order of `leaves`."""
    if isinstance(like, Tensor):
        return next(parts)
    return None if like is None else rebuilt(like, [_filled(part, parts) for part in like])
