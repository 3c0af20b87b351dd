"""A distributional code for value (Dabney et al. 2020): channels that weigh good and bad surprises unlike.

    delta_i = r + gamma V_j(s') - V_i(s), j drawn anew for every i                                                (1)
    V_i += alpha+_i delta_i if delta_i > 0 else alpha-_i delta_i      (expectiles; quantiles: the sign of delta_i)  (2)
    tau_i = alpha+_i / (alpha+_i + alpha-_i)                                                                      (3)

V_i settles at the tau_i-expectile of what follows, and a channel answers a reward r with delta_i: no answer at its
reversal point V_i. From responses alone, on disjoint halves of the trials,

    reversal z_i = argmax_z #(r > z, response > 0) + #(r < z, response < 0),   tau^_i = b+ / (b+ + b-)            (4)

b+-, slopes through 0 of the response on r - z_i. From pairs (z_i, tau_i) samples s_1 .. s_M of the distribution,

    min_s mean_i g_i^2,   g_i = mean_m |tau_i - 1{s_m <= z_i}| (s_m - z_i)                                        (5)

since g_i is 0 where z_i is the tau_i-expectile of the samples. `tau` shuffled over channels, all of them 1/2
(classical TD) and a Gaussian of the same moments are the controls.
Shapes: N channels, T trials, R distinct rewards, S states, M samples, C cues.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize
from scipy.stats import mannwhitneyu, norm, spearmanr, wasserstein_distance

from metaplastic import rng

MAGNITUDES = np.array([0.1, 0.3, 1.2, 2.5, 5.0, 10.0, 20.0])
"""rewards of the variable-magnitude task, in microlitres"""
CHANCES = np.array([0.06612594, 0.09090909, 0.14847358, 0.15489467, 0.31159175, 0.1509519, 0.07705306])
"""their probabilities"""
CUE_CHANCES = np.array([0.1, 0.5, 0.9])
"""variable-probability task: chance of a reward of 1 after each of three odours"""
END = -1
"""a next state that ends an episode"""


class Rates(NamedTuple):
    """Learning rates of the channels."""

    up: Float[np.ndarray, " N"]
    down: Float[np.ndarray, " N"]

    @property
    def tau(self) -> Float[np.ndarray, " N"]:
        """(3)."""
        return self.up / (self.up + self.down)


def drawn_rates(
    channels: int, low: float = 0.001, high: float = 0.021, seed: int = 0, classical: bool = False
) -> Rates:
    """Uniform rates; with `classical` a channel's two are one."""
    u = low + (high - low) * rng.uniforms(rng.root(seed), 2, channels).double().numpy()
    return Rates(u[0], u[0] if classical else u[1])


def drawn_rewards(
    trials: int, seed: int = 0, magnitudes: np.ndarray = MAGNITUDES, chances: np.ndarray = CHANCES
) -> Float[np.ndarray, " T"]:
    """Rewards of the variable-magnitude task."""
    u = rng.uniforms(rng.root(seed), trials).double().numpy()
    return magnitudes[np.searchsorted(np.cumsum(chances / chances.sum())[:-1], u, side="right")]


def drawn_cues(trials: int, seed: int = 0, chances: np.ndarray = CUE_CHANCES) -> tuple[np.ndarray, np.ndarray]:
    """Cues [T] and rewards [T] of the variable-probability task."""
    u = rng.uniforms(rng.root(seed), 2, trials).double().numpy()
    cue = np.minimum((u[0] * len(chances)).astype(np.int64), len(chances) - 1)
    return cue, (u[1] < chances[cue]) * 1.0


def utility(reward: Shaped[np.ndarray, "..."], most: float = 10.0, half: float = 200.0) -> Float[np.ndarray, "..."]:
    """most sqrt(r) / (sqrt(r) + sqrt(half))."""
    root = np.sqrt(np.asarray(reward, np.float64))
    return most * root / (root + np.sqrt(half))


class Lived(NamedTuple):
    """Channels after learning, and their errors on the way."""

    value: Float[np.ndarray, "N S"]
    """after the last trial; it wavers as a rate of .02 makes it"""
    average: Float[np.ndarray, "N S"]
    """over the second half of the trials"""
    delta: Float[np.ndarray, "T N"]


def live_channels(
    rates: Rates,
    reward: Shaped[np.ndarray, " T"],
    state: Int[np.ndarray, " T"] | None = None,
    after: Int[np.ndarray, " T"] | None = None,
    gamma: float = 1.0,
    form: Literal["expectile", "quantile"] = "expectile",
    start: float = 0.0,
    seed: int = 0,
) -> Lived:
    """(1) and (2) along one history; without `state` there is one, without `after` every trial ends an episode."""
    trials, channels = len(reward), len(rates.up)
    state = np.zeros(trials, np.int64) if state is None else state
    after = np.full(trials, END) if after is None else after
    value = np.full((channels, int(max(state.max(), after.max())) + 1), start)
    delta, total = np.empty((trials, channels)), np.zeros_like(value)
    draws = rng.below(rng.words(rng.root(seed), trials * channels), channels).numpy() if (after >= 0).any() else None
    for t in range(trials):
        here, target = value[:, state[t]], reward[t]
        if after[t] >= 0 and draws is not None:
            target = target + gamma * value[draws[t * channels : (t + 1) * channels], after[t]]
        delta[t] = target - here
        surprise = delta[t] if form == "expectile" else np.sign(delta[t])
        value[:, state[t]] = here + np.where(delta[t] > 0, rates.up, rates.down) * surprise
        total += value if t >= trials // 2 else 0.0
    return Lived(value, total / (trials - trials // 2), delta)


def expectile(values: Shaped[np.ndarray, " R"], chances: Shaped[np.ndarray, " R"], tau: float) -> float:
    """e with tau E[(r - e)+] = (1 - tau) E[(e - r)+]: exact, piece by piece between the values."""
    order = np.argsort(values)
    x, p = np.asarray(values, np.float64)[order], np.asarray(chances, np.float64)[order] / np.sum(chances)
    below = np.arange(len(x))[:, None] >= np.arange(len(x))  # piece k: e in [x_k, x_k+1]
    weight = np.where(below, 1 - tau, tau) * p
    e = (weight * x).sum(1) / weight.sum(1)
    gap = np.abs(e - np.clip(e, x, np.append(x[1:], x[-1])))
    return float(e[gap.argmin()])


def responses(
    value: Shaped[np.ndarray, " N"], rates: Rates, reward: Shaped[np.ndarray, " T"], noise: float = 0.0, seed: int = 0
) -> Float[np.ndarray, "T N"]:
    """What channels answer to rewards: slope times error, slopes in the ratio of the rates, plus Gaussian noise."""
    delta = np.asarray(reward)[:, None] - value
    slope = np.where(delta > 0, rates.tau, 1 - rates.tau) * 2
    return slope * delta + noise * rng.normals(rng.root(seed), *delta.shape).double().numpy()


def halves(trials: int, seed: int = 0) -> tuple[Bool[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
    """Two random disjoint halves."""
    first = np.zeros(trials, dtype=bool)
    first[rng.permutation(rng.root(seed), trials).numpy()[: trials // 2]] = True
    return first, ~first


def reversal_points(response: Shaped[np.ndarray, "T N"], reward: Shaped[np.ndarray, " T"]) -> Float[np.ndarray, " N"]:
    """z of (4) among the rewards and the midpoints between them; the mean of those that are equally good."""
    levels = np.unique(reward)
    edges = np.unique(np.concatenate((levels, (levels[1:] + levels[:-1]) / 2)))
    above, below = reward[:, None] > edges, reward[:, None] < edges
    score = above.T.astype(float) @ (response > 0) + below.T.astype(float) @ (response < 0)
    return np.array([edges[column == column.max()].mean() for column in score.T])


def asymmetry(
    response: Shaped[np.ndarray, "T N"], reward: Shaped[np.ndarray, " T"], reversal: Shaped[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """tau^ of (4); NaN for a channel without rewards on both sides. Slopes below 0 count as 0."""
    x = np.asarray(reward)[:, None] - reversal

    def slope(side: np.ndarray) -> np.ndarray:
        squares = (np.square(x) * side).sum(0)
        return np.where(squares > 0, np.maximum((x * response * side).sum(0), 0) / np.maximum(squares, 1e-300), np.nan)

    up, down = slope(x > 0), slope(x < 0)
    total = up + down
    return np.where(total > 0, up / np.where(total > 0, total, 1), np.nan)


class SplitHalf(NamedTuple):
    """Correlations across channels of what was estimated on two disjoint halves, and their p."""

    reversal: tuple[float, float]
    tau: tuple[float, float]
    cross: tuple[float, float]
    """reversal points of one half with tau^ of the other"""


def split_half(response: Shaped[np.ndarray, "T N"], reward: Shaped[np.ndarray, " T"], seed: int = 0) -> SplitHalf:
    """Are differences between channels more than noise? Spearman's r and p."""
    z, tau = [], []
    for half in halves(len(reward), seed):
        z.append(reversal_points(response[half], reward[half]))
        tau.append(asymmetry(response[half], reward[half], z[-1]))
    return SplitHalf(*(_spearman(a, b) for a, b in ((z[0], z[1]), (tau[0], tau[1]), (z[0], tau[1]))))


def _spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    seen = np.isfinite(x) & np.isfinite(y)
    if seen.sum() < 3 or np.ptp(x[seen]) == 0 or np.ptp(y[seen]) == 0:
        return 0.0, 1.0
    r, p = np.asarray(spearmanr(x[seen], y[seen]), dtype=np.float64)
    return float(r), float(p)


def imputation_loss(
    samples: Shaped[np.ndarray, " M"], reversal: Shaped[np.ndarray, " N"], tau: Shaped[np.ndarray, " N"]
) -> tuple[float, Float[np.ndarray, " M"]]:
    """(5) and its gradient."""
    gap = samples - reversal[:, None]
    weight = np.where(gap <= 0, 1 - tau[:, None], tau[:, None])
    g = (weight * gap).mean(1)
    return float(np.square(g).mean()), 2 / (len(g) * len(samples)) * (g @ weight)


def impute(
    reversal: Shaped[np.ndarray, " N"],
    tau: Shaped[np.ndarray, " N"],
    low: float,
    high: float,
    samples: int = 100,
    starts: int = 1000,
    repeats: int = 5,
    seed: int = 0,
) -> Float[np.ndarray, " n"]:
    """repeats * M samples of the distribution that the channels imply, pooled over `repeats` decodings of (5).

    Each starts from the best of `starts` uniform draws in [low, high]. Channels that are NaN are left out.

    Raises:
        ValueError: if no channel is left.
    """
    seen = np.isfinite(reversal) & np.isfinite(tau)
    if not seen.any():
        raise ValueError("no channel has a reversal point and tau, wanted one or more")
    z, t = np.asarray(reversal, np.float64)[seen], np.asarray(tau, np.float64)[seen]
    found = []
    for key in rng.fold(rng.root(seed), rng.numbers(repeats, "cpu")):
        draws = low + (high - low) * rng.uniforms(key, starts, samples).double().numpy()
        best = min(draws, key=lambda s: imputation_loss(s, z, t)[0])
        fit = minimize(imputation_loss, best, (z, t), jac=True, bounds=[(low, high)] * samples, method="L-BFGS-B")
        found.append(fit.x)
    return np.concatenate(found)


class Decoding(NamedTuple):
    """Wasserstein distances (first order) to the true distribution."""

    real: float
    shuffled: float
    """mean over shuffles of tau"""
    uniform: float
    gaussian: float
    """normal with the mean and standard deviation of the truth, clipped to the range"""
    samples: Float[np.ndarray, " n"]


def decoding_controls(
    reversal: Shaped[np.ndarray, " N"],
    tau: Shaped[np.ndarray, " N"],
    values: np.ndarray = MAGNITUDES,
    chances: np.ndarray = CHANCES,
    shuffles: int = 3,
    seed: int = 0,
) -> Decoding:
    """How far the decoded distribution and its controls are from the true one.

    A classical population is no control here: with all reversal points alike, the start decides the shape.
    """
    low, high = float(values.min()), float(values.max())

    def distance(samples: np.ndarray) -> float:
        return float(wasserstein_distance(samples, values, v_weights=chances))

    real = impute(reversal, tau, low, high, seed=seed)
    keys = rng.fold(rng.root(seed), rng.numbers(shuffles, "cpu"))
    shuffled = [tau[rng.permutation(key, len(tau)).numpy()] for key in keys]
    mean = float(np.average(values, weights=chances))
    sd = float(np.sqrt(np.average((values - mean) ** 2, weights=chances)))
    normal = rng.normals(rng.root(seed), 20_000).double().numpy()
    return Decoding(
        distance(real),
        float(np.mean([distance(impute(reversal, other, low, high, seed=seed)) for other in shuffled])),
        distance(np.linspace(low, high, 1000)),
        distance(np.clip(mean + sd * normal, low, high)),
        real,
    )


def optimism(response: Shaped[np.ndarray, "T N"], cue: Int[np.ndarray, " T"]) -> Float[np.ndarray, " N"]:
    """Where the mean response to cue 1 (50 %) lies between those to cue 0 (10 %) and cue 2 (90 %): 1/2 midway."""
    low, middle, high = (response[cue == k].mean(0) for k in range(3))
    return (middle - low) / np.where(high == low, np.nan, high - low)


class CueClasses(NamedTuple):
    """Channels by two Mann-Whitney tests of the 50 % cue, against the 10 % and against the 90 % one."""

    optimistic: Bool[np.ndarray, " N"]
    """unlike 10 %, not told from 90 %"""
    pessimistic: Bool[np.ndarray, " N"]
    """unlike 90 %, not told from 10 %"""
    interpolating: Bool[np.ndarray, " N"]
    """unlike both"""


def cue_classes(response: Shaped[np.ndarray, "T N"], cue: Int[np.ndarray, " T"], level: float = 0.05) -> CueClasses:
    """The classes; with fewer trials or more noise more channels are not told apart and count as extreme."""
    low, middle, high = (response[cue == k] for k in range(3))
    unlike_low, unlike_high = (mannwhitneyu(middle, other, axis=0).pvalue < level for other in (low, high))
    return CueClasses(unlike_low & ~unlike_high, unlike_high & ~unlike_low, unlike_low & unlike_high)


def optimists(
    response: Shaped[np.ndarray, "T N"], cue: Int[np.ndarray, " T"], level: float = 0.05
) -> Int[np.ndarray, " N"]:
    """1 where cue 1 lies above the midpoint of cues 0 and 2, -1 where below, 0 where a z test (Welch) cannot tell."""
    parts = [response[cue == k] for k in range(3)]
    error = np.sqrt(
        sum(share * part.var(0, ddof=1) / len(part) for share, part in zip((0.25, 1, 0.25), parts, strict=True))
    )
    low, middle, high = (part.mean(0) for part in parts)
    gap = middle - (low + high) / 2
    return np.where(np.abs(gap) > norm.isf(level / 2) * error, np.sign(gap), 0).astype(np.int64)
