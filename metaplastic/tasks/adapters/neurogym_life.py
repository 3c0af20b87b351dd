"""One environment of NeuroGym: seeded, begun at frame 0, and asked what its trial is about.

What is read here beside Gymnasium's own methods is the inside of NeuroGym 2.3's `TrialEnv`: `ob` and `gt` (frames and
ground truth of the trial), `t_ind` (step), `start_ind`, `end_ind` (epochs) and `_top` (what makes the next trial).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from metaplastic.tasks.adapters.answers import answers_of

PROBED = 100
"""trials from which epochs and the longest trial are read"""


@contextmanager
def hushed() -> Iterator[None]:
    """Without what Gymnasium remarks about NeuroGym's own code, at every environment."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*(to get variables from other wrappers|doesn't include `render_modes`)")
        yield


class OneLife:
    """An environment of NeuroGym, and what it needs to be known about it."""

    def __init__(self, env: Any, name: str) -> None:
        self.env = env
        self.answers = answers_of(env.action_space, name)
        self.silent = True

    @property
    def core(self) -> Any:
        """The environment of the trial that runs, without wrappers."""
        return self.env.unwrapped

    @hushed()
    def begin(self, seed: int) -> None:
        """The first trial of a life."""
        plant = self.env.get_wrapper_attr("seed")
        plant(seed)
        self.env.reset(options={"no_step": True})
        plant(seed)  # a reset draws, and some of its kinds act
        for env in getattr(self.env.unwrapped._top, "envs", [self.env]):
            core = env.unwrapped
            core.t = core.t_ind = core.num_tr = core.performance = 0
        self.core._top.new_trial()
        self.silent = True

    def shown(self) -> np.ndarray:
        """The frame of now; zeros where no frames are made ahead."""
        core = self.core
        if getattr(core, "ob", None) is None:
            return np.zeros(self.env.observation_space.shape, np.float32).reshape(-1)
        told = core.post_step(core.ob[core.t_ind], 0.0, False, False, {})
        return np.array(told[0], np.float32).reshape(-1)

    def epoch(self, names: tuple[str, ...]) -> int:
        """The part of the trial of now: of those that it is in, the one that began last."""
        core = self.core
        within = [(core.start_ind[name], i) for i, name in enumerate(names) if self._is_in(name)]
        return max(within)[1] if within else 0

    def _is_in(self, name: str) -> bool:
        core = self.core
        return core.start_ind.get(name, 0) <= core.t_ind < core.end_ind.get(name, 0)

    def wants_nothing(self) -> bool:
        """The trial's ground truth is 0 throughout."""
        core = self.core
        return self.answers.low is None and bool(core._has_gt) and not np.any(core.gt)

    def step(self, answer: Any) -> tuple[np.ndarray, float, bool, float, Any]:
        """Next frame, reward, whether the trial is over, its score, and the ground truth of what was seen."""
        before, no_go = self.core, self.wants_nothing()
        self.silent = self.silent and not np.any(answer)
        seen, reward, _, _, info = self.env.step(answer)
        over = bool(info["new_trial"])
        score = float(info["performance"]) if over else 0.0
        if over and no_go and self.silent:
            score = 1.0
        self.silent = self.silent or over
        frame = np.array(seen, np.float32).reshape(-1) if self.core is before else self.shown()
        return frame, float(reward), over, min(max(score, 0.0), 1.0), info.get("gt")


@hushed()
def probed(life: OneLife) -> tuple[tuple[str, ...], int]:
    """Epochs in the order of their starts, and the steps of the longest of some trials."""
    life.begin(0)
    starts: dict[str, int] = {}
    longest = 0
    for _ in range(PROBED):
        core = life.core
        starts.update({name: start for name, start in core.start_ind.items() if name not in starts})
        longest = max(longest, int(core.tmax // core.dt), len(getattr(core, "ob", ())))
        core._top.new_trial()
    return tuple(sorted(starts, key=lambda name: starts[name])), longest


def named_channels(names: dict[str, Any], size: int) -> dict[str, tuple[int, int]]:
    """NeuroGym's names of an observation's parts as slices: of names that overlap the finest, gaps as `unnamed`; all as
    one where there are no names, or a part lies in pieces."""
    parts = {name: np.atleast_1d(np.asarray(where)).tolist() for name, where in names.items()}
    free: dict[int, str] = dict.fromkeys(range(size), "unnamed" if parts else "observation")
    for name in sorted(parts, key=lambda name: len(parts[name])):
        if all(free.get(place) == "unnamed" for place in parts[name]):
            free |= dict.fromkeys(parts[name], name)
    starts = [place for place in free if place == 0 or free[place] != free[place - 1]]
    found = [free[start] for start in starts]
    if len({name for name in found if name != "unnamed"}) < len([name for name in found if name != "unnamed"]):
        return {"observation": (0, size)}
    unnamed = (f"unnamed{i or ''}" for i in count())
    names_in_order = [next(unnamed) if name == "unnamed" else name for name in found]
    return {name: (a, b) for name, a, b in zip(names_in_order, starts, [*starts[1:], size], strict=True)}
