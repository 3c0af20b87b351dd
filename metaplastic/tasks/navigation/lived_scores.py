"""Mean scores of policies in closed loops, from trials that nobody else lives: for specs that depend on the settings.

Only `begin`, `advance` and `target` are called, neither `spec` nor what is seen, so that a spec may be made of them.
"""

from __future__ import annotations

from typing import Literal

import torch

from metaplastic import rng
from metaplastic.tasks.worlds import WorldTask

LIVES = 2048
"""trials, by default"""


def mean_score(
    task: WorldTask, who: Literal["random", "oracle"], steps: int, actions: int, *, lives: int = LIVES
) -> float:
    """Mean score of first trials of at most `steps` steps, by the random policy among `actions` or the oracle."""
    key = rng.fold(rng.root(0), torch.arange(lives))
    trial = torch.zeros_like(key)
    life = task.birth(rng.fold(key, 0))
    world = task.begin(rng.fold(key, 1), life, trial, None)
    score, alive = torch.zeros(lives), torch.ones(lives, dtype=torch.bool)
    for t in range(steps):
        now = rng.fold(rng.fold(key, 2), t)
        if who == "oracle":
            action = task.target(life, world)
        elif task.answered_by == "control":
            action = rng.uniforms(rng.fold(now, 1), actions) * 2 - 1
        else:
            action = rng.below(rng.word(rng.fold(now, 1), 0), actions)
        told = task.advance(now, life, world, action, torch.full_like(trial, t))
        ends = told.ends | (t + 1 == steps)
        score = torch.where(alive & ends, told.score, score)
        world, alive = told.world, alive & ~ends
        if not alive.any():
            break
    return score.double().mean().item()
