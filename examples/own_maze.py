"""A closed loop of one's own in one file: a corridor with food at one of its ends, the same in a whole life.

    python examples/own_maze.py                          lives it at random and with the oracle
    metaplastic check own_maze:Corridor                  holds it against the contract that every task keeps (from here)

A world says how a trial begins, what an action leads to and what is seen; lives, trials, feedback, batches and
reproducible randomness come with `WorldTask`. One may walk left (0) or right (1) and sees the place one is in.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.contract.check import check_task
from metaplastic.tasks.worlds import Happening, WorldTask

PLACES = 5


class Life(NamedTuple):
    food: Tensor  # 0 or PLACES - 1


class Walk(NamedTuple):
    place: Tensor


class Corridor(WorldTask):
    """Find out at which end of the corridor the food is, and go there."""

    kind: Literal["own_maze:Corridor"] = "own_maze:Corridor"
    trials: int = 20
    feedback: bool = True

    @property
    def spec(self) -> TaskSpec:
        ideal = 1 - 0.5 / self.trials  # the first end that is reached tells where the food is
        return self.describe(
            {"place": PLACES}, 2, trial_steps=200, chance=0.5, ceiling=ideal, oracle=1.0, criterion=0.9
        )

    def birth(self, key: Tensor) -> Life:
        return Life(rng.coin(rng.word(key, 0), 0.5) * (PLACES - 1))

    def begin(self, key: Tensor, life: Life, trial: Tensor, before: Any) -> Walk:
        return Walk(torch.full_like(key, PLACES // 2))

    def advance(self, key: Tensor, life: Life, world: Walk, action: Tensor, step: Tensor) -> Happening:
        place = world.place + 2 * action - 1
        found = (place == life.food).float()
        at_an_end = (place == 0) | (place == PLACES - 1)
        return Happening(Walk(place), found, at_an_end, score=found, correct=found.long())

    def look(self, life: Life, world: Walk, step: Tensor) -> Tensor:
        return one_hot(world.place, PLACES)

    def target(self, life: Life, world: Walk) -> Tensor:
        return (life.food > 0).long()


if __name__ == "__main__":
    task = Corridor()
    check_task(task)
    lives = torch.arange(1000)
    for name, policy in {"random": task.random_policy(lives), "oracle": task.oracle_policy()}.items():
        seen = task.rollout(policy, lives, steps=40)
        print(f"{name} policy: food in {seen.info.score.sum() / seen.info.trial_end.sum():.3f} of trials")
