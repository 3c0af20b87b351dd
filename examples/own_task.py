"""A task of one's own in one file: which of two odours is rewarded in this life?

    python examples/own_task.py                          holds it against the contract that every task keeps
    task: {kind: "own_task:Odours", trials: 40}          names it in an experiment file (run from this folder)

Each trial one of two odours comes. To lick (action 1) pays 1 if it is the odour that is rewarded in this life, not to
lick (action 0) pays 1 if it is the other. All that is random comes from keys: `birth` draws once a life, `question`
once a trial, and blocks, closed loop, oracle and scores follow.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.contract.check import check_task
from metaplastic.tasks.decisions import DecisionTask, Question


class Life(NamedTuple):
    rewarded: Int[Tensor, "*B"]  # the odour that pays


class Odours(DecisionTask):
    """Two odours, one of them rewarded; which one is new in every life."""

    kind: Literal["own_task:Odours"] = "own_task:Odours"

    @property
    def spec(self) -> TaskSpec:
        ideal = 1 - 0.5 / self.trials  # the first reward, or its absence, tells everything
        return self.describe({"odour": 2}, actions=2, chance=0.5, ceiling=ideal, criterion=0.9)

    def birth(self, key: Int[Tensor, "*B"]) -> Life:
        return Life(rng.below(rng.words(key, 1)[..., 0], 2))

    def question(self, key: Int[Tensor, "*B"], life: Life, trial: Int[Tensor, "*T"]) -> Question:
        words = rng.words(rng.condition_keys(rng.trial_keys(key, trial)), 1)[..., 0]
        odour = rng.below(words, 2)
        lick = (odour == life.rewarded).long()
        choices = torch.arange(2, device=trial.device)
        observation = (odour[..., None] == choices).float()
        payoff = (lick[..., None] == choices).float()
        return Question(observation, payoff, best=payoff.amax(-1), kind=torch.zeros_like(trial), target=lick)


if __name__ == "__main__":
    task = Odours(trials=40)
    check_task(task)
    lives = torch.arange(1000)
    for name, policy in {"random": task.random_policy(lives), "oracle": task.oracle_policy()}.items():
        print(f"{name} policy: {task.rollout(policy, lives, steps=40).info.score.mean():.3f} of trials right")
