"""What units code: linear decoders across episodes, partial correlations, permutation tests, and trajectories.

    partial r(x, y | z) = corr(x - x^(z), y - y^(z)),   ^(z) least squares on z and 1                              (1)
    p = (1 + #{ |r_permuted| >= |r| }) / (1 + permutations)                                                        (2)

Steps of one episode are no independent samples. So no episode is on both sides of a decoder's cross-validation, and a
permutation gives whole episodes the variable of other episodes (Phipson & Smyth 2010 for the ones in (2)).
Shapes: T steps, E episodes, N units, V variables, C conditions, K components. NaN in a variable is missing.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from metaplastic import rng
from metaplastic.studies.analysis.events import nan_mean

_LEAST_VARIANCE = 1e-12
"""share of a unit's mean square below which it counts as silent or constant"""


class Decoded(NamedTuple):
    """A cross-validated decoder."""

    score: float
    """balanced accuracy of classes, r2 of numbers, of all predictions for episodes that were held out"""
    per_fold: Float[np.ndarray, " folds"]
    chance: float
    """1 / number of classes; 0 for numbers"""
    predicted: Float[np.ndarray, "T E"]
    """NaN where the target is missing"""


def decode(
    units: Shaped[np.ndarray, "T E N"],
    target: Shaped[np.ndarray, "T E"],
    kind: Literal["class", "number"] = "class",
    folds: int = 5,
    strength: float = 1.0,
    seed: int = 0,
) -> Decoded:
    """A linear decoder (logistic or ridge, of standardised units) of the target, tested on held-out episodes.

    `strength` is the L2 penalty of the weights, `seed` deals the episodes out to the folds. Squares of units may be
    given as further units.

    Raises:
        ValueError: if there are fewer episodes than folds, or only one class.
    """
    from sklearn.model_selection import GroupKFold

    y = np.asarray(target, dtype=np.float64)
    seen = np.isfinite(y)
    x, y_seen, episode = np.asarray(units, np.float64)[seen], y[seen], np.nonzero(seen)[1]
    classes = np.unique(y_seen)
    count = len(np.unique(episode))
    if count < folds or len(classes) < 2:
        raise ValueError(f"{count} episodes have {len(classes)} targets, wanted {folds} episodes or more and 2 targets")
    predicted, per_fold = np.full(len(y_seen), np.nan), []
    shuffled = _orders(target.shape[1], 1, seed)[0][episode]  # folds must not follow the order of episodes
    for train, test in GroupKFold(folds).split(x, y_seen, shuffled):
        predicted[test] = _decoder(kind, strength).fit(x[train], y_seen[train]).predict(x[test])
        per_fold.append(_score(kind, y_seen[test], predicted[test]))
    placed = np.full(y.shape, np.nan)
    placed[seen] = predicted
    chance = 1 / len(classes) if kind == "class" else 0.0
    return Decoded(_score(kind, y_seen, predicted), np.array(per_fold), chance, placed)


def _decoder(kind: str, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=1 / strength, max_iter=5000) if kind == "class" else Ridge(alpha=strength)
    return make_pipeline(StandardScaler(), model)


def _score(kind: str, truth: np.ndarray, predicted: np.ndarray) -> float:
    """Balanced accuracy over the classes that there are; r2."""
    if kind == "class":
        return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))
    total = np.square(truth - truth.mean()).sum()
    return float(1 - np.square(truth - predicted).sum() / total) if total > 0 else float("nan")


def decoding_null(
    units: Shaped[np.ndarray, "T E N"],
    target: Shaped[np.ndarray, "T E"],
    permutations: int,
    seed: int = 0,
    kind: Literal["class", "number"] = "class",
    folds: int = 5,
    strength: float = 1.0,
) -> Float[np.ndarray, " permutations"]:
    """Scores of decoders whose episodes have each other's targets."""
    orders = _orders(target.shape[1], permutations, seed)
    return np.array([decode(units, target[:, order], kind, folds, strength).score for order in orders])


def _orders(episodes: int, permutations: int, seed: int) -> Int[np.ndarray, "permutations E"]:
    keys = rng.fold(rng.root(seed), rng.numbers(permutations, "cpu"))
    return rng.permutation(keys, episodes).numpy()


def partial_correlations(
    units: Shaped[np.ndarray, "*n N"], variables: Shaped[np.ndarray, "*n V"]
) -> Float[np.ndarray, "N V"]:
    """(1) of every unit with every variable, the other variables partialled out; 0 for a unit that is constant.

    Samples with a NaN in a variable are left out.

    Raises:
        ValueError: if there are no more samples than variables.
    """
    v = np.asarray(variables, np.float64).reshape(-1, variables.shape[-1])
    seen = np.isfinite(v).all(1)
    x, v = np.asarray(units, np.float64).reshape(len(v), -1)[seen], v[seen]
    if len(v) <= v.shape[1] + 1:
        raise ValueError(f"{len(v)} samples have all {v.shape[1]} variables, wanted more samples than variables")
    found = [
        _correlations(*(residual(part, np.delete(v, k, axis=1)) for part in (x, v[:, k : k + 1])))[:, 0]
        for k in range(v.shape[1])
    ]
    return np.stack(found, 1)


def residual(values: Shaped[np.ndarray, "n N"], controls: Shaped[np.ndarray, "n V"]) -> Float[np.ndarray, "n N"]:
    """What is left of the values after least squares on the controls and 1; exactly 0 where nothing is."""
    design = np.column_stack((np.ones(len(values)), controls))
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    is_flat = np.square(left).sum(0) <= _LEAST_VARIANCE * np.square(values).sum(0)
    return np.where(is_flat, 0.0, left)


def _correlations(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "N V"]:
    """Of columns with mean 0; 0 where one does not vary."""
    norms = np.sqrt(np.square(x).sum(0))[:, None] * np.sqrt(np.square(y).sum(0))
    return np.where(norms > 0, x.T @ y / np.where(norms > 0, norms, 1), 0.0)


class Coding(NamedTuple):
    """(2) of every unit."""

    r: Float[np.ndarray, " N"]
    """partial correlation with the variable"""
    p: Float[np.ndarray, " N"]
    fraction: float
    """of units with p below the level"""


def coding(
    units: Shaped[np.ndarray, "T E N"],
    variable: Shaped[np.ndarray, "T E"],
    controls: Shaped[np.ndarray, "T E V"] | None = None,
    permutations: int = 500,
    level: float = 0.01,
    seed: int = 0,
) -> Coding:
    """How many units follow a variable once the controls are partialled out; no correction for the number of units.

    Raises:
        ValueError: if the level is below the least p that so many permutations can give.
    """
    if level < 1 / (1 + permutations):
        raise ValueError(f"level is {level} with {permutations} permutations, wanted {round(1 / level)} or more")
    controls = np.empty((*variable.shape, 0)) if controls is None else np.asarray(controls, np.float64)
    variable = np.asarray(variable, np.float64)
    orders = _orders(variable.shape[1], permutations, seed)
    is_plain = bool(np.isfinite(variable).all())
    r = _partial(units, variable, controls)
    if is_plain:
        more = _permuted(units, variable, controls, orders, np.abs(r))
    else:
        found = (_partial(units, variable[:, order], controls) for order in orders)
        more = sum((np.abs(one) >= np.abs(r) for one in found), np.zeros(len(r)))
    p = (1 + more) / (1 + permutations)
    return Coding(r, p, float((p < level).mean()))


def _partial(units: np.ndarray, variable: np.ndarray, controls: np.ndarray) -> Float[np.ndarray, " N"]:
    return partial_correlations(units, np.concatenate((variable[..., None], controls), -1))[:, 0]


def _permuted(
    units: np.ndarray, variable: np.ndarray, controls: np.ndarray, orders: np.ndarray, at_least: np.ndarray
) -> Float[np.ndarray, " N"]:
    """How often a permuted variable correlates as much; the units are cleared of the controls once for all."""
    kept = np.isfinite(controls).all(-1).reshape(-1)
    z = controls.reshape(len(kept), -1)[kept]
    x = residual(np.asarray(units, np.float64).reshape(len(kept), -1)[kept], z)
    more = np.zeros(x.shape[1])
    for some in np.array_split(orders, max(1, len(orders) // 50)):
        shuffled = variable[:, some].transpose(0, 2, 1).reshape(len(kept), -1)[kept]
        more += (np.abs(_correlations(x, residual(shuffled, z))) >= at_least[:, None]).sum(1)
    return more


class Trajectories(NamedTuple):
    """Mean paths in the plane (or space) of most variance."""

    paths: Float[np.ndarray, "C T K"]
    """NaN where a condition has no episode"""
    axes: Float[np.ndarray, "K N"]
    centre: Float[np.ndarray, " N"]
    explained: Float[np.ndarray, " K"]
    """share of variance of each component"""

    def project(self, units: Shaped[np.ndarray, "... N"]) -> Float[np.ndarray, "... K"]:
        """Other activity on the same axes."""
        return (units - self.centre) @ self.axes.T


def trajectories(
    units: Shaped[np.ndarray, "T E N"], condition: Int[np.ndarray, "..."], components: int = 2
) -> Trajectories:
    """Principal components of all steps of all conditions; then each condition's mean path.

    `condition` is a number an episode [E], or a step [T, E], from 0 on; below 0 is in no path. A component's sign is
    that of its largest weight, so that it does not depend on the solver.
    """
    from sklearn.decomposition import PCA

    flat = np.asarray(units, np.float64).reshape(-1, units.shape[-1])
    model = PCA(components, svd_solver="full").fit(flat)
    axes = np.asarray(model.components_, np.float64)
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    explained = np.asarray(model.explained_variance_ratio_)
    found = Trajectories(np.empty((0, len(units), components)), axes, np.asarray(model.mean_), explained)
    projected, numbers = found.project(np.asarray(units, np.float64)), np.broadcast_to(condition, units.shape[:2])
    paths = [_mean_path(projected, numbers == c) for c in range(int(numbers.max()) + 1)]
    return found._replace(paths=np.stack(paths))


def _mean_path(projected: Float[np.ndarray, "T E K"], chosen: Bool[np.ndarray, "T E"]) -> Float[np.ndarray, "T K"]:
    return nan_mean(np.where(chosen[..., None], projected, np.nan), axis=1)
