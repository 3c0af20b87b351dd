"""What choices follow from: staying, lags of rewards and choices, matching, psychometric curves, regret.

    logit P(c_t = 1) = b + sum_l rew_l s_{t-l} r_{t-l} + sum_l cho_l s_{t-l},  s = +1 for choice 1, -1 for 0       (1)
    logit P(c_t = 1) = b + sum_l s_{t-l} (CR_l [CR] + UR_l [UR] + CU_l [CU] + UU_l [UU])_{t-l}                     (2)
    MB = sum_l CR - CU + UU - UR,     MF = sum_l CR - CU - UU + UR                                                 (3)
    log2(C_1 / C_0) = slope log2(R_1 / R_0) + intercept                                                            (4)
    P(1 | x) = low + (1 - low - high) Phi((x - mu) / sigma)                                                        (5)

(1) Lau & Glimcher 2005. (2), (3) Miller, Botvinick & Brody 2017: common or uncommon transition, rewarded or
unrewarded. (4) generalised matching (Baum 1974), C choices and R rewards of an episode. (5) a cumulative Gaussian with
lapses (Wichmann & Hill 2001); on x = (n_B - n_A) / (n_B + n_A) indifference is at n_B : n_A = (1 + mu) / (1 - mu).
Shapes: T trials, E episodes, L lags, F regressors, K arms, X stimuli. A choice below 0 or a reward of NaN is missing:
it is no row of a regression, and as history it counts as neither chosen nor rewarded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

from metaplastic.tasks.bandits import players, two_step_analysis
from metaplastic.tasks.bandits.two_step_analysis import Stays

_LEAST_SD = 1e-3
"""smallest sigma of (5), as a share of the range of x"""


def stays(
    choice: Int[np.ndarray, "T *E"], reward: Shaped[np.ndarray, "T *E"], is_common: Bool[np.ndarray, "T *E"]
) -> Stays:
    """Stay probabilities by reward and transition of the trial before, over all episodes."""
    return two_step_analysis.stay_probabilities(
        torch.from_numpy(np.ascontiguousarray(choice)),
        torch.from_numpy(np.ascontiguousarray(is_common)),
        torch.from_numpy(np.asarray(reward, dtype=np.float64)),
    )


def stay_by(choice: Int[np.ndarray, "T *E"], condition: Int[np.ndarray, "T *E"]) -> dict[int, float]:
    """Probability of the same choice again, for each number that `condition` has on the trial before."""
    seen = (choice[:-1] >= 0) & (choice[1:] >= 0)
    stayed = choice[1:] == choice[:-1]
    return {
        int(number): float(stayed[cell].mean())
        for number in np.unique(condition[:-1][seen])
        if (cell := seen & (condition[:-1] == number)).any()
    }


class Logistic(NamedTuple):
    """A logistic regression."""

    intercept: float
    weights: Float[np.ndarray, " F"]
    errors: Float[np.ndarray, " F"]
    """standard errors of the weights, from the curvature of the likelihood over all rows"""
    log_likelihood: float
    bic: float
    rows: int


def logistic(features: Shaped[np.ndarray, "... F"], outcome: Shaped[np.ndarray, "..."], ridge: float = 0.0) -> Logistic:
    """Maximum likelihood of 0/1 outcomes; rows with a NaN are left out.

    `ridge` penalises ridge / 2 * |weights|^2: choices that are fully determined have no finite weights without it.

    Raises:
        ValueError: if all outcomes are alike.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.asarray(features, dtype=np.float64).reshape(-1, features.shape[-1])
    y = np.asarray(outcome, dtype=np.float64).reshape(-1)
    is_seen = np.isfinite(y) & np.isfinite(x).all(1)
    x, y = x[is_seen], y[is_seen]
    if len(np.unique(y)) != 2:
        raise ValueError(
            f"{len(y)} rows have outcomes {np.unique(y).tolist()}, wanted both 0 and 1; record more choices"
        )
    model = LogisticRegression(C=1 / ridge if ridge else np.inf, tol=1e-8, max_iter=10_000).fit(x, y)
    weights, intercept = model.coef_[0], float(model.intercept_[0])
    z = x @ weights + intercept
    log_likelihood = float(-np.logaddexp(0, np.where(y == 1, -z, z)).sum())
    design = np.column_stack((np.ones(len(x)), x))
    p = expit(z)
    information = design.T @ (design * (p * (1 - p))[:, None]) + np.diag([0.0, *[ridge] * x.shape[1]])
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information))[1:], 0))
    return Logistic(intercept, weights, errors, log_likelihood, bic(log_likelihood, design.shape[1], len(x)), len(x))


def bic(log_likelihood: float, parameters: int, samples: int) -> float:
    """Bayesian information criterion k ln n - 2 ln L (Schwarz 1978); lower is better."""
    return float(parameters * np.log(samples) - 2 * log_likelihood)


def lagged(series: Shaped[np.ndarray, "T *E"], lags: int) -> Float[np.ndarray, "T *E L"]:
    """The series 1 .. L trials ago; NaN before the first trial of an episode."""
    found = np.full((*series.shape, lags), np.nan)
    for lag in range(1, lags + 1):
        found[lag:, ..., lag - 1] = series[:-lag]
    return found


class Kernels(NamedTuple):
    """(1)."""

    reward: Float[np.ndarray, " L"]
    choice: Float[np.ndarray, " L"]
    fit: Logistic


def history_kernels(
    choice: Int[np.ndarray, "T *E"], reward: Shaped[np.ndarray, "T *E"], lags: int = 15, ridge: float = 0.0
) -> Kernels:
    """(1) over all episodes; a trial counts once it has `lags` trials before it.

    Raises:
        ValueError: if a choice is neither 0 nor 1 nor missing, or no trial has so many before it.
    """
    signed, outcome = _signed(choice, lags)
    earned = signed * np.nan_to_num(reward)
    features = np.concatenate((lagged(earned, lags), lagged(signed, lags)), -1)
    fit = logistic(features, outcome, ridge)
    return Kernels(fit.weights[:lags], fit.weights[lags:], fit)


class TwoStepWeights(NamedTuple):
    """(2) and (3)."""

    common_rewarded: Float[np.ndarray, " L"]
    uncommon_rewarded: Float[np.ndarray, " L"]
    common_unrewarded: Float[np.ndarray, " L"]
    uncommon_unrewarded: Float[np.ndarray, " L"]
    fit: Logistic

    @property
    def model_based_index(self) -> float:
        """(3), left."""
        return float((self.common_rewarded - self.common_unrewarded + self._uncommon_lost_more).sum())

    @property
    def model_free_index(self) -> float:
        """(3), right."""
        return float((self.common_rewarded - self.common_unrewarded - self._uncommon_lost_more).sum())

    @property
    def _uncommon_lost_more(self) -> Float[np.ndarray, " L"]:
        return self.uncommon_unrewarded - self.uncommon_rewarded


def two_step_weights(
    choice: Int[np.ndarray, "T *E"],
    reward: Shaped[np.ndarray, "T *E"],
    is_common: Bool[np.ndarray, "T *E"],
    lags: int = 5,
    ridge: float = 0.0,
) -> TwoStepWeights:
    """(2) over all episodes.

    Raises:
        ValueError: if a choice is neither 0 nor 1 nor missing, or no trial has so many before it.
    """
    signed, outcome = _signed(choice, lags)
    won, lost = reward > 0, reward <= 0
    kinds = (is_common & won, ~is_common & won, is_common & lost, ~is_common & lost)
    features = np.concatenate([lagged(signed * kind, lags) for kind in kinds], -1)
    fit = logistic(features, outcome, ridge)
    cr, ur, cu, uu = fit.weights.reshape(4, lags)
    return TwoStepWeights(cr, ur, cu, uu, fit)


def _signed(choice: Int[np.ndarray, "T *E"], lags: int) -> tuple[Float[np.ndarray, "T *E"], Float[np.ndarray, "T *E"]]:
    """Choices as +1, -1 and 0 (missing), and as outcomes 1, 0 and NaN."""
    if choice.max() > 1:
        raise ValueError(f"choice goes up to {choice.max()}, wanted 0 or 1, and -1 where it is missing")
    if not 1 <= lags < len(choice):
        raise ValueError(f"lags is {lags}, wanted 1 to {len(choice) - 1}: an episode has {len(choice)} trials")
    outcome = np.where(choice >= 0, choice, np.nan)
    return np.nan_to_num(2 * outcome - 1), outcome


class Matching(NamedTuple):
    """(4) over episodes that have choices and rewards of both kinds."""

    slope: float
    intercept: float
    r: float
    log_rewards: Float[np.ndarray, " E"]
    """log2(R_1 / R_0); NaN for an episode that is left out"""
    log_choices: Float[np.ndarray, " E"]


def matching(choice: Int[np.ndarray, "T E"], reward: Shaped[np.ndarray, "T E"]) -> Matching:
    """The matching slope. All is NaN with fewer than two episodes that count, or if their rewards do not differ."""
    rewards = [np.where(choice == arm, np.nan_to_num(reward), 0).sum(0) for arm in (0, 1)]
    choices = [(choice == arm).sum(0) for arm in (0, 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = (np.log2(pair[1] / pair[0]) for pair in (rewards, choices))
    is_kept = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(is_kept, x, np.nan), np.where(is_kept, y, np.nan)
    if is_kept.sum() < 2 or np.ptp(x[is_kept]) == 0:
        return Matching(np.nan, np.nan, np.nan, x, y)
    slope, intercept = np.polyfit(x[is_kept], y[is_kept], 1)
    flat = np.ptp(y[is_kept]) == 0
    r = np.nan if flat else float(np.corrcoef(x[is_kept], y[is_kept])[0, 1])
    return Matching(float(slope), float(intercept), r, x, y)


class Psychometric(NamedTuple):
    """(5)."""

    mu: float
    sigma: float
    """threshold; its inverse is the sensitivity"""
    low: float
    high: float
    """lapses: what is missing from 0 and from 1"""
    log_likelihood: float

    def at(self, x: Shaped[np.ndarray, " X"]) -> Float[np.ndarray, " X"]:
        """P(1 | x)."""
        return self.low + (1 - self.low - self.high) * norm.cdf((x - self.mu) / self.sigma)


def psychometric(
    x: Shaped[np.ndarray, " X"],
    chosen: Shaped[np.ndarray, " X"],
    trials: Shaped[np.ndarray, " X"],
    most_lapse: float = 0.1,
) -> Psychometric:
    """(5) by maximum likelihood of binomial counts; the best of nine starts. `most_lapse` 0 fits no lapses.

    Raises:
        ValueError: if fewer than two stimuli have trials.
    """
    is_seen = np.isfinite(x) & (trials > 0)
    if len(np.unique(x[is_seen])) < 2:
        raise ValueError(f"{len(np.unique(x[is_seen]))} stimuli have trials, wanted two or more")
    at, hits, misses = (np.asarray(v[is_seen], np.float64) for v in (x, chosen, trials - chosen))
    width = float(np.ptp(at))

    def loss(parameters: np.ndarray) -> float:
        mu, sigma, low, high = parameters
        p = np.clip(Psychometric(mu, sigma, low, high, 0.0).at(at), 1e-9, 1 - 1e-9)
        return float(-(hits * np.log(p) + misses * np.log1p(-p)).sum() / (hits + misses).sum())

    bounds = [
        (at.min() - width, at.max() + width),
        (_LEAST_SD * width, 10 * width),
        (0, most_lapse),
        (0, most_lapse),
    ]
    lapse = most_lapse / 5
    starts = [(mu, sd * width, lapse, lapse) for mu in np.quantile(at, (0.2, 0.5, 0.8)) for sd in (0.05, 0.2, 1)]
    fits = [minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts]
    best = min(fits, key=lambda fit: fit.fun)
    mu, sigma, low, high = map(float, best.x)
    return Psychometric(mu, sigma, low, high, float(-best.fun * (hits + misses).sum()))


def indifference_ratio(mu: float) -> float:
    """(1 + mu) / (1 - mu): how many of B are worth one of A, mu the middle of (5) on (n_B - n_A) / (n_B + n_A)."""
    return (1 + mu) / (1 - mu)


def cumulative_regret(
    expected: Shaped[np.ndarray, "T *E K"], choice: Int[np.ndarray, "T *E"]
) -> Float[np.ndarray, "T *E"]:
    """sum_t max_k mu_k - mu_chosen up to each trial, from the arms' expected values at that trial, not from rewards."""
    means = torch.from_numpy(np.asarray(expected, dtype=np.float64))
    return players.summed_regret(means, torch.from_numpy(np.asarray(choice, dtype=np.int64))).numpy()
