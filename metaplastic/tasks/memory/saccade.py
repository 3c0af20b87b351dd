"""Saccades and anti-saccades from memory: look at the mark, remember the cue, look there or to the other side.

    blank     nothing on the screen, whatever is done
    wait      a mark says pro or anti; it must be looked at within `wait` steps, and held for `hold` more
    cue       left or right, and a small reward for having fixated
    delay     the mark alone; it must still be looked at
    go        the mark goes off; within `go` steps one look to the cue (pro) or away from it (anti) earns the reward

Looking away too early, or to the wrong side, or not at all, ends the trial without reward. Gaze is the action: fixate,
left or right. What is seen does not say where one looks. A trial is right or wrong; the small reward shapes learning
and does not count.

    chance = (1 - (2/3)^wait) (1/3)^(hold + cue + delay) (1 - (1/3)^go) / 2                                  (1)

Rombouts, Bohte & Roelfsema 2015, after Gottlieb & Goldberg 1999; durations and rewards checked with the replication of
Le Masson & Alexandre 2016 (there an action at the last step of `wait` and of `go` does not count).
`rombouts15_no_shaping` has no small reward.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.constants import constant, look_up
from metaplastic.tasks.worlds import Happening, WorldTask

FIXATE, LEFT, RIGHT = range(3)
EPOCHS = ("blank", "wait", "hold", "cue", "delay", "go")
OVER = -1
"""what comes after a trial's end"""
Table = tuple[tuple[float, ...], ...]


class Automaton(NamedTuple):
    """A trial as a table: X places (an epoch's steps one after the other), A actions, K kinds of trial."""

    follows: tuple[tuple[int, ...], ...]
    """[X, A], the next place, or OVER"""
    earns: Table
    """[X, A], reward whatever the kind"""
    answers: tuple[int, ...]
    """[X], 1 where a saccade is judged"""
    sights: tuple[Table, ...]
    """[K, X, I]"""
    epoch: tuple[int, ...]
    """[X]"""
    right: tuple[int, ...]
    """[K], the rewarded side: that of the cue in pro trials, the other in anti trials"""
    reward: float
    """for it"""


class Gaze(NamedTuple):
    """Where a trial is."""

    kind: Int[Tensor, "*B"]
    """2 anti + right: 0 pro left, 1 pro right, 2 anti left, 3 anti right"""
    place: Int[Tensor, "*B"]


class SaccadeAntisaccade(WorldTask):
    """Memory-guided saccades and anti-saccades with a reward for fixation."""

    references = (
        "Rombouts, Bohte & Roelfsema 2015, How attention can create synaptic tags for the learning of working memories "
        "in sequential tasks, PLoS Comput Biol 11:e1004060",
    )
    tags = ("memory", "reward")
    epochs = EPOCHS
    presets = MappingProxyType(
        {
            "rombouts15": MappingProxyType({}),
            "rombouts15_no_shaping": MappingProxyType({"fixation_reward": 0.0}),
        }
    )

    kind: Literal["SaccadeAntisaccade-v0"] = "SaccadeAntisaccade-v0"
    trials: int = Field(default=5000, ge=1)
    """trials of a lifetime in which a learner may learn; half of the published networks need about 4,100"""
    test_trials: int = Field(default=100, ge=0)
    """trials of test after learning, plasticity off"""
    blank: int = Field(default=1, ge=1, le=100)
    """steps of the empty screen"""
    wait: int = Field(default=10, ge=1, le=100)
    """steps in which the mark may first be looked at"""
    hold: int = Field(default=1, ge=1, le=100)
    """further steps for which it must be, before the cue"""
    cue: int = Field(default=1, ge=1, le=100)
    """steps of the cue"""
    delay: int = Field(default=2, ge=0, le=100)
    """steps from the cue's end until the mark goes off"""
    go: int = Field(default=8, ge=1, le=100)
    """steps in which the saccade may be made"""
    fixation_reward: float = Field(default=0.2, ge=0)
    """for having held the mark, with the cue"""
    final_reward: float = Field(default=1.5, gt=0)
    """for the right saccade"""

    @property
    def spec(self) -> TaskSpec:
        """Chance by (1)."""
        held = self.hold + self.cue + self.delay
        chance = (1 - (2 / 3) ** self.wait) * (1 / 3) ** held * (1 - (1 / 3) ** self.go) / 2
        return self.describe(
            {"mark": 2, "cue": 2},
            3,
            trial_steps=sum(self._durations),
            chance=chance,
            ceiling=1.0,
            oracle=1.0,
            criterion=0.85,
            epochs=self.epochs,
            action_names=("fixate", "left", "right"),
            reward_range=(0.0, max(self.fixation_reward, self.final_reward)),
        )

    @property
    def _durations(self) -> tuple[int, ...]:
        return self.blank, self.wait, self.hold, self.cue, self.delay, self.go

    @property
    def automaton(self) -> Automaton:
        """The trial as a table."""
        return _automaton(self._durations, self.fixation_reward, self.final_reward)

    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Any) -> Gaze:
        """One of four kinds, each alike."""
        del life, before
        return Gaze(rng.below(rng.word(key, 0), 4), torch.zeros_like(trial))

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Gaze, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """By the table."""
        del key, life, step
        table, index = self.automaton, world.place * 3 + action
        place = look_up(_flat(table.follows), index, torch.int64)
        judged = look_up(table.answers, world.place, torch.int64)
        right = judged * (action == look_up(table.right, world.kind, torch.int64))
        reward = look_up(_flat(table.earns), index) + table.reward * right
        ends = place == OVER
        return Happening(Gaze(world.kind, place.clamp(min=0)), reward, ends, right.to(reward.dtype), right)

    def look(self, life: Any, world: Gaze, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
        """The mark (pro, anti) and the cue (left, right)."""
        del life, step
        sights = self.automaton.sights
        rows = constant(tuple(row for kind in sights for row in kind), world.place.device)
        index = world.kind * len(sights[0]) + world.place
        return rows.index_select(0, index.reshape(-1)).reshape(*index.shape, 4)

    def target(self, life: Any, world: Gaze) -> Int[Tensor, "*B"]:
        """Fixate until the mark goes off, then the right side."""
        del life
        table = self.automaton
        return look_up(table.right, world.kind, torch.int64) * look_up(table.answers, world.place, torch.int64)

    def epoch_of(self, state: Any) -> Int[Tensor, "*B"]:
        """By the table."""
        return look_up(self.automaton.epoch, state.world.place, torch.int64)


@lru_cache(maxsize=64)
def _automaton(durations: tuple[int, ...], fixation_reward: float, final_reward: float) -> Automaton:
    """Places of all epochs, in order."""
    ends = list(accumulate(durations))
    starts = [end - steps for end, steps in zip(ends, durations, strict=True)]
    epoch = tuple(index for index, steps in enumerate(durations) for _ in range(steps))
    follows, earns = [], []
    for place, index in enumerate(epoch):
        name, after = EPOCHS[index], place + 1
        late = after if after < ends[index] else OVER
        if name == "blank":
            follows.append((after, after, after))
        elif name == "wait":
            follows.append((starts[2], late, late))
        elif name == "go":
            follows.append((late, OVER, OVER))
        else:
            follows.append((after, OVER, OVER))
        is_held = name == "hold" and after == ends[index]
        earns.append((fixation_reward if is_held else 0.0, 0.0, 0.0))
    sights = tuple(tuple(_sight(kind, EPOCHS[index]) for index in epoch) for kind in range(4))
    answers = tuple(int(EPOCHS[index] == "go") for index in epoch)
    right = tuple(LEFT + (kind + kind // 2) % 2 for kind in range(4))
    return Automaton(tuple(follows), tuple(earns), answers, sights, epoch, right, final_reward)


def _sight(kind: int, epoch: str) -> tuple[float, ...]:
    """What is on the screen."""
    marked, cued = epoch in ("wait", "hold", "cue", "delay"), epoch == "cue"
    is_anti, is_right = kind // 2 == 1, kind % 2 == 1
    seen = (marked and not is_anti, marked and is_anti, cued and not is_right, cued and is_right)
    return tuple(float(one) for one in seen)


def _flat(table: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    return tuple(value for row in table for value in row)
