"""Are the prediction errors of a network model-based? The references of the two-step task, and their shares.

    MB   V(s) += alpha (r - V(s)), V(other) = 1 - V(s);   Q(a) = common V(a) + (1 - common) V(other)
         delta_2 = V(s) - Q(a),   delta_r = r - V(s)                                                              (1)
    MF   Q(a) += alpha (r - Q(a)) (SARSA(1)),   V(s) += alpha (r - V(s))
         delta_2 = V(s) - Q(a),   delta_r = r - V(s)                                                              (2)

The rate alpha is the one of a grid with which (1) explains most. As both are alike at the outcome, the raw r2 of (2)
is high for a planner as well; its unique share after (1) and the stage is what tells (compare Wang et al. 2018, Fig. 5,
who report r2 = .89 for MB and 5.8e-7 for MF). Shapes: T trials, E episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from metaplastic.studies.analysis.learners import Recorded, TwoStepLearner, followed
from metaplastic.studies.analysis.rpe import Shares, regress, shares

RATES = tuple(k / 10 for k in range(1, 10))
"""the grid of alpha"""


class Errors(NamedTuple):
    """Prediction errors of a trial."""

    stage2: Float[np.ndarray, "T E"]
    """on arrival in the second stage"""
    outcome: Float[np.ndarray, "T E"]


def model_based_errors(recorded: Recorded, alpha: float, common: float = 0.8) -> Errors:
    """(1) along this behaviour."""
    found = followed(TwoStepLearner(common, mirrored=True), recorded, {"alpha": alpha, "w": 1.0, "beta": 1.0})
    return Errors(found["delta_mb"], found["delta_r"])


def model_free_errors(recorded: Recorded, alpha: float) -> Errors:
    """(2) along this behaviour."""
    found = followed(TwoStepLearner(), recorded, {"alpha": alpha, "w": 0.0, "lam": 1.0, "beta": 1.0})
    return Errors(found["delta_2"], found["delta_r"])


class Explained(NamedTuple):
    """What is explained of recorded errors at both stages, pooled and apart."""

    alpha: float
    """of the grid, by the fit of (1)"""
    pooled: Shares
    stage2: Shares
    outcome: Shares


def explained(
    errors: Errors,
    recorded: Recorded,
    alphas: Sequence[float] | np.ndarray = RATES,
    common: float = 0.8,
    is_kept: Bool[np.ndarray, "T"] | None = None,
) -> Explained:
    """Shares of (1) and (2) in recorded errors; `is_kept` leaves out trials, such as the first and the last ones.

    At the outcome alone (1) and (2) differ only in what mirroring adds.
    """
    kept = np.ones(len(recorded.action), dtype=bool) if is_kept is None else is_kept
    target = np.stack(errors)[:, kept]

    def fitted(alpha: float) -> float:
        return regress(target, _pair(model_based_errors(recorded, alpha, common), kept)[..., None]).r2

    alpha = float(max(alphas, key=fitted))
    mb = _pair(model_based_errors(recorded, alpha, common), kept)
    mf = _pair(model_free_errors(recorded, alpha), kept)
    stage = np.broadcast_to(np.arange(2.0)[:, None, None, None], (*target.shape, 1))
    apart = [shares(target[k], mb[k], mf[k]) for k in (0, 1)]
    return Explained(alpha, shares(target, mb, mf, stage), *apart)


def _pair(errors: Errors, kept: Bool[np.ndarray, "T"]) -> Shaped[np.ndarray, "2 n E"]:
    return np.stack(errors)[:, kept]
