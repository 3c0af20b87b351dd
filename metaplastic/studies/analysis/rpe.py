"""Reward-prediction errors of a critic, with the right index, and how well reference algorithms explain them.

    delta_t = r_{t+1} + gamma V_{t+1} - V_t                                                                       (1)

r_{t+1} is what the action of step t earned. With arrays in which `reward[t]` is caused by `action[t]`, and `value[t]`
was read after the network saw the observation of step t:  delta[t] = reward[t] + gamma value[t + 1] - value[t].
So delta at the onset of a cue is the entry of the step before the cue, and delta at an outcome that of the response.

    r2 of x:        1 - SS(delta | 1, x) / SS(delta | 1)                                                          (2)
    unique r2 of x: 1 - SS(delta | 1, z, x) / SS(delta | 1, z),   z all other regressors                          (3)

(3) is the squared partial correlation if x is one regressor. MB and MF errors are alike at the outcome, so a raw (2)
of MF is high for a model-based agent as well; (3) is what tells them apart (compare Wang et al. 2018, Fig. 5).
Shapes: T steps, E episodes, n samples, F regressors. NaN is missing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped


def prediction_errors(
    value: Shaped[np.ndarray, "T E"],
    reward: Shaped[np.ndarray, "..."],
    gamma: float,
    bootstrap: Shaped[np.ndarray, " E"] | float = 0.0,
) -> Float[np.ndarray, "T E"]:
    """(1). `bootstrap` is the value after the last step: 0 where the episode ends there.

    Raises:
        ValueError: if values and rewards do not have one shape.
    """
    if value.shape != reward.shape:
        raise ValueError(f"value has shape {value.shape} and reward {reward.shape}; wanted [T, E] for both, time first")
    value = np.asarray(value, dtype=np.float64)
    after = np.concatenate((value[1:], np.broadcast_to(np.asarray(bootstrap, np.float64), value.shape[1:])[None]))
    return reward + gamma * after - value


def at_cue(delta: Shaped[np.ndarray, "T E"], is_cue: Bool[np.ndarray, "T E"]) -> Float[np.ndarray, "T E"]:
    """For each step on which a cue is first seen, the error of its onset: that of the step before. NaN elsewhere.

    A cue on the very first step of an episode has no error.
    """
    shifted = np.full(delta.shape, np.nan)
    shifted[1:] = delta[:-1]
    return np.where(is_cue, shifted, np.nan)


def at_outcome(delta: Shaped[np.ndarray, "T E"], is_response: Bool[np.ndarray, "T E"]) -> Float[np.ndarray, "T E"]:
    """For each step whose action is paid, the error of its outcome. NaN elsewhere."""
    return np.where(is_response, np.asarray(delta, np.float64), np.nan)


def is_settled(steps: int, first: int, last: int) -> Bool[np.ndarray, " T"]:
    """Steps to analyse: not the `first` ones, nor the `last`, where V knows that the end is near (1 / (1 - gamma))."""
    step = np.arange(steps)
    return (step >= first) & (step < steps - last)


def discounted_returns(
    reward: Shaped[np.ndarray, "T E"], gamma: float, bootstrap: Shaped[np.ndarray, " E"] | float = 0.0
) -> Float[np.ndarray, "T E"]:
    """G_t = r_{t+1} + gamma G_{t+1}, from the value after the last step on."""
    found = np.empty(reward.shape)
    after = np.broadcast_to(np.asarray(bootstrap, np.float64), reward.shape[1:])
    for t in range(len(reward) - 1, -1, -1):
        after = found[t] = reward[t] + gamma * after
    return found


def explained_variance(value: Shaped[np.ndarray, "..."], returns: Shaped[np.ndarray, "..."]) -> float:
    """1 - Var(G - V) / Var(G): 1 for a perfect critic, 0 for one that knows the mean alone; NaN if G is constant."""
    is_seen = np.isfinite(value) & np.isfinite(returns)
    total = returns[is_seen].var() if is_seen.any() else 0.0
    return float(1 - (returns - value)[is_seen].var() / total) if total > 0 else float("nan")


class Regression(NamedTuple):
    """Least squares with an intercept."""

    intercept: float
    weights: Float[np.ndarray, " F"]
    r2: float
    """(2)"""
    samples: int


def regress(target: Shaped[np.ndarray, "..."], regressors: Shaped[np.ndarray, "... F"]) -> Regression:
    """The target on regressors; samples with a NaN anywhere are left out.

    Raises:
        ValueError: if fewer samples are left than there are weights.
    """
    y, x = _rows(target, regressors)
    design = np.column_stack((np.ones(len(y)), x))
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    left = np.square(y - design @ weights).sum()
    total = np.square(y - y.mean()).sum()
    return Regression(float(weights[0]), weights[1:], float(1 - left / total) if total > 0 else float("nan"), len(y))


def unique_r2(
    target: Shaped[np.ndarray, "..."], regressor: Shaped[np.ndarray, "..."], others: Shaped[np.ndarray, "... F"]
) -> float:
    """(3): the share of what `others` leave unexplained that `regressor` explains.

    0 if the others contain the regressor, or nothing is left to explain (1e-12 of the variance).
    """
    y, x = _rows(target, np.concatenate((others, regressor[..., None]), -1))
    design = np.column_stack((np.ones(len(y)), x[:, :-1]))
    both = np.column_stack((y, x[:, -1]))
    left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    squares, whole = np.square(left).sum(0), np.square(both - both.mean(0)).sum(0)
    if (squares <= 1e-12 * whole).any():
        return 0.0
    return float((left[:, 0] @ left[:, 1]) ** 2 / squares.prod())


class Shares(NamedTuple):
    """How two references explain one recorded error."""

    model_based_r2: float
    model_free_r2: float
    """raw (2); high for a model-based agent too, since both have the same error at the outcome"""
    unique_model_based: float
    unique_model_free: float
    """(3), after the other reference and the nuisance"""


def shares(
    delta: Shaped[np.ndarray, "..."],
    model_based: Shaped[np.ndarray, "..."],
    model_free: Shaped[np.ndarray, "..."],
    nuisance: Shaped[np.ndarray, "... F"] | None = None,
) -> Shares:
    """Regression of errors on model-based and model-free ones; a nuisance may be 0 at stage 2 and 1 at the outcome."""
    nuisance = np.empty((*delta.shape, 0)) if nuisance is None else nuisance
    with_mb = np.concatenate((nuisance, model_based[..., None]), -1)
    with_mf = np.concatenate((nuisance, model_free[..., None]), -1)
    return Shares(
        regress(delta, model_based[..., None]).r2,
        regress(delta, model_free[..., None]).r2,
        unique_r2(delta, model_based, with_mf),
        unique_r2(delta, model_free, with_mb),
    )


def _rows(
    target: Shaped[np.ndarray, "..."], regressors: Shaped[np.ndarray, "... F"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n F"]]:
    """Samples without a NaN, as rows."""
    if regressors.shape[:-1] != target.shape:
        raise ValueError(
            f"regressors have shape {regressors.shape} and the target {target.shape}; wanted {(*target.shape, 'F')}"
        )
    y = np.asarray(target, dtype=np.float64).reshape(-1)
    x = np.asarray(regressors, dtype=np.float64).reshape(len(y), regressors.shape[-1])
    is_seen = np.isfinite(y) & np.isfinite(x).all(1)
    if is_seen.sum() <= x.shape[1]:
        raise ValueError(
            f"{is_seen.sum()} samples are without NaN, wanted more than the {x.shape[1]} regressors; record more"
        )
    return y[is_seen], x[is_seen]
