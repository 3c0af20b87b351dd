"""Learners fitted to recorded choices by maximum likelihood, and the learning rate that a policy betrays.

    ln L = sum_t ln P(c_t | what came before, parameters),    BIC = k ln n - 2 ln L                               (1)
    alpha* = argmax_alpha corr( V_alpha(t), ln pi_0(t) / pi_1(t) )                                                (2)

(1) by L-BFGS-B from the best of many random starts; gradients are central differences, all of them in one pass of the
learner. (2) reads the network's logits instead of its choices, so it also works where choices are nearly determined.
Shapes: M sets of parameters, P free parameters, T trials, E episodes. Missing trials have no likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize

from metaplastic import rng
from metaplastic.studies.analysis.behaviour import bic
from metaplastic.studies.analysis.learners import Learner, Recorded, RescorlaWagner, followed

RATES = tuple(np.linspace(0.02, 0.7, 69))
"""the grid of (2)"""
_SCREENED = 48
"""random starts of which the best are followed"""
_STEP = 1e-4
"""of central differences, as a share of each parameter's range"""


class Fit(NamedTuple):
    """(1)."""

    parameters: dict[str, float]
    log_likelihood: float
    bic: float
    choices: int
    is_converged: bool


def log_likelihoods(learner: Learner, recorded: Recorded, free: Shaped[np.ndarray, "M P"]) -> Float[np.ndarray, " M"]:
    """(1) of M sets of the learner's free parameters, summed over all choices of all episodes."""
    p = learner.complete({name: free[:, k, None] for k, name in enumerate(learner.free)})
    memory = learner.start((len(free), *recorded.action.shape[1:]), p)
    total = np.zeros(len(free))
    for t in range(len(recorded.action)):
        trial = recorded.at(t)
        total += _logs(learner.policy(memory, p, trial.state), trial.action)
        if trial.second is not None and trial.state is not None:
            second = learner.second_policy(memory, p, trial.state)
            total += 0.0 if second is None else _logs(second, np.where(trial.action >= 0, trial.second, -1))
        memory, _ = learner.learn(memory, p, trial)
    return total


def _logs(policy: Float[np.ndarray, "M E A"], action: Int[np.ndarray, " E"]) -> Float[np.ndarray, " M"]:
    """Log-probability of what was done."""
    done = np.where(action[:, None] == np.arange(policy.shape[-1]), policy, 0.0).sum(-1)
    return np.where(action >= 0, np.log(np.maximum(done, 1e-300)), 0.0).sum(-1)


def fit(learner: Learner, recorded: Recorded, starts: int = 3, seed: int = 0) -> Fit:
    """The free parameters of the largest likelihood, one set for all episodes.

    Raises:
        ValueError: if nothing is free, or no choice was recorded.
    """
    choices = int((recorded.action >= 0).sum())
    if recorded.second is not None:
        choices += int(((recorded.action >= 0) & (recorded.second >= 0)).sum()) * (_second_actions(learner) > 1)
    if not learner.free or not choices:
        raise ValueError(f"{len(learner.free)} parameters are free and {choices} choices recorded, wanted some of both")
    low, high = np.array([learner.bounds[name] for name in learner.free]).T

    def loss(u: np.ndarray) -> np.ndarray:
        return -log_likelihoods(learner, recorded, low + u * (high - low)) / choices

    def loss_and_gradient(u: np.ndarray) -> tuple[float, np.ndarray]:
        up, down = (np.clip(u + sign * _STEP * np.eye(len(u)), 0, 1) for sign in (1, -1))
        found = loss(np.concatenate((u[None], up, down)))
        width = np.diag(up - down)
        return float(found[0]), (found[1 : 1 + len(u)] - found[1 + len(u) :]) / width

    screened = rng.uniforms(rng.root(seed), _SCREENED, len(low)).double().numpy()
    best = screened[np.argsort(loss(screened))[:starts]]
    found = [minimize(loss_and_gradient, u, jac=True, bounds=[(0, 1)] * len(low), method="L-BFGS-B") for u in best]
    top = min(found, key=lambda result: result.fun)
    log_likelihood = float(-top.fun * choices)
    values = low + top.x * (high - low)
    return Fit(
        dict(zip(learner.free, values.tolist(), strict=True)),
        log_likelihood,
        bic(log_likelihood, len(low), choices),
        choices,
        bool(top.success),
    )


def _second_actions(learner: Learner) -> int:
    return getattr(learner, "second_actions", 1)


def fit_blocks(learner: Learner, recorded: Recorded, block: int, seed: int = 0) -> list[Fit]:
    """A fit for every `block` episodes (Wang et al. 2016 take 10); an incomplete last block is left out."""
    ends = range(block, recorded.action.shape[1] + 1, block)
    return [fit(learner, recorded.at((slice(None), slice(end - block, end))), seed=seed) for end in ends]


class PolicyRate(NamedTuple):
    """(2)."""

    alpha: float
    r: float
    curve: Float[np.ndarray, " M"]
    """correlation at every alpha of the grid"""


def policy_learning_rate(
    action: Int[np.ndarray, "T E"],
    reward: Shaped[np.ndarray, "T E"],
    logit: Shaped[np.ndarray, "T E"],
    alphas: Sequence[float] | np.ndarray = RATES,
    first: int = 50,
    mirrored: bool = True,
) -> PolicyRate:
    """(2) over trials from `first` on; `logit` = ln pi_0 / pi_1 before the choice of the trial.

    `mirrored`: both outcomes are evidence about p, as where the arms pay with p and 1 - p.

    Raises:
        ValueError: if no trial is left.
    """
    if first >= len(action):
        raise ValueError(f"first is {first} of {len(action)} trials, wanted fewer")
    grid = np.asarray(alphas, dtype=np.float64)
    learner = RescorlaWagner(mirrored=mirrored)
    q = followed(learner, Recorded(action, reward), {"alpha": grid[:, None], "beta": 1.0})["q"][first:]
    lead = (q[..., 0] - q[..., 1]).swapaxes(0, 1)  # [M, T, E]
    target = np.asarray(logit, dtype=np.float64)[first:]
    is_seen = np.isfinite(target)
    x, y = lead[:, is_seen], target[is_seen]
    x, y = x - x.mean(1, keepdims=True), y - y.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = x @ y / np.sqrt(np.square(x).sum(1) * np.square(y).sum())
    if not np.isfinite(curve).any():
        raise ValueError("logits or values do not vary, wanted a policy that follows rewards")
    best = int(np.nanargmax(curve))
    return PolicyRate(float(grid[best]), float(curve[best]), curve)
