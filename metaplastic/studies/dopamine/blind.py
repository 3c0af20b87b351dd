"""The control of every study: the reward withheld, and trained anew. Nothing can be learned within an episode."""

from __future__ import annotations

from dataclasses import replace

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.studies.dopamine.laboratory import Trained, reward_blind, train_population
from metaplastic.studies.study import Run

SEEDS, SHARE = 2, 0.1
"""fewer agents, a tenth of the updates: it has nothing to find"""
DEPARTURE = f"The agents without reward are {SEEDS}, trained for a tenth of the updates."


def train_blind(run: Run, trained: Trained, rule: A2C) -> Trained:
    """A population like `trained`, without the reward as an input."""
    fewer = replace(run, seeds=min(run.seeds, SEEDS))
    short = rule.model_copy(update={"updates": max(1, int(rule.updates * SHARE))})
    return train_population(fewer, "without_reward", reward_blind(trained.network), short, trained.task)
