"""Two juices in several amounts: `song-economic`. What is A worth, and what do units of the value network tell?

    P(B) = Phi((x - mu) / sigma),  x = (n_B - n_A) / (n_B + n_A);   worth of A in B = (1 + mu) / (1 - mu)      (1)
    rate = b_0 + b_1 v,   v one of the variables; a unit is of the class of the v of largest r^2, if b_1 is not 0   (2)

(2) over the last 500 ms before the choice, p < .05 / variables; classes are offer value (of A or of B), chosen value
and choice. Song, Yang & Wang 2017, figure 6; Padoa-Schioppa & Assad 2006.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.stats import pearsonr

from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.studies.analysis.behaviour import Psychometric, indifference_ratio
from metaplastic.studies.song.laboratory import Tested, Traces, Trained, traced
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy, by_level, curve_of
from metaplastic.studies.study import Claim, Run, mean_and_error

BEFORE = 500.0
"""ms before the choice that (2) looks at"""
CLASSES = {"offer value": ("offer A", "offer B"), "chosen value": ("chosen",), "choice": ("choice",)}
LEAST = 0.08
"""share of the classified units that each class must have"""


class SongEconomic(SongStudy):
    """Economic choice."""

    name: ClassVar[str] = "song-economic"
    title: ClassVar[str] = "Reward-trained networks choose between juices"
    question: ClassVar[str] = (
        "Is the exchange rate of two juices learned from rewards, and does a value network come to have units "
        "like those of the orbitofrontal cortex?"
    )
    kind: ClassVar[str] = "EconomicDecisionMaking-v0"

    def network(self) -> ModifiedGRU:
        """The value network hears ten times as loudly."""
        return ModifiedGRU(value_input_gain=10.0)

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Indifference, and classes of units."""
        del run
        worth = trained.task.value_a / trained.task.value_b
        ratios = [indifference_ratio(fitted(tested, pair).mu) for pair in range(len(tested.answer))]
        close = all(abs(ratio - worth) <= 0.1 * worth for ratio in ratios)
        levels, hits, trials = counts(tested)
        fine = np.linspace(-1, 1, 200)
        shares = [classes(traced(trained, pair, 500), trained.task) for pair in range(len(ratios))]
        known = {"offer value": "~60 %", "chosen value": "~20 %", "choice": "~20 %"}
        rows = [
            Claim(
                f"one A is worth so many B (trained: {worth:g})",
                "2.0; within 10 % of trained",
                "published",
                mean_and_error(ratios, 2),
                close,
            ),
            *(
                Claim(
                    f"value units: {name}",
                    f"{known[name]}; accepted ≥ {LEAST:.0%}",
                    "published",
                    mean_and_error([one[name] for one in shares]),
                    all(one[name] >= LEAST for one in shares),
                )
                for name in CLASSES
            ),
        ]
        line = Line("", levels, hits.sum(0) / trials.sum(0).clip(1), (fine, fitted(tested).at(fine)))
        return Behaviour(
            rows,
            [lines([line], "choices", "(B - A) / (B + A)", "P(B)")],
            {"ratios": ratios, "classes": shares},
            "B is chosen once there are about two of it for one of A.",
            "Left: validation during training. Right: choices in the test with a cumulative Gaussian.",
        )


def mix(given: dict[str, Any]) -> np.ndarray:
    """x of (1)."""
    b, a = given["drops_b"], given["drops_a"]
    return np.round((b - a) / (b + a), 4)


def chose_b(answer: np.ndarray, given: dict[str, Any]) -> np.ndarray:
    """Whether juice B was taken; action 2 is the right side."""
    return (answer == 2) != (given["a_is_right"] == 1)


def counts(tested: Tested) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, choices of B and trials."""
    return by_level(tested, mix(tested.given), chose_b(tested.answer, tested.given))


def fitted(tested: Tested, pair: int | None = None) -> Psychometric:
    """(1) of one pair of networks, or of all; the forced choices at the ends have no part in it."""
    levels, hits, trials = counts(tested)
    some = slice(None) if pair is None else slice(pair, pair + 1)
    free = np.abs(levels) < 1
    return curve_of(levels[free], hits[some][:, free].sum(0), trials[some][:, free].sum(0))


def classes(seen: Traces, task: Any) -> dict[str, float]:
    """Share of each class among the units of the value network that have one, (2)."""
    done = seen.answer > 0
    steps = max(1, round(BEFORE / task.dt))
    rates = np.stack(
        [seen.value_rates[max(0, end - steps) : end, n].mean(0) for n, end in enumerate(seen.last) if done[n]]
    )
    given = {name: values[done] for name, values in seen.given.items()}
    b = chose_b(seen.answer[done], given)
    offers = {"offer A": given["drops_a"] * task.value_a, "offer B": given["drops_b"] * task.value_b}
    variables = offers | {"chosen": np.where(b, offers["offer B"], offers["offer A"]), "choice": b.astype(float)}
    found = [of_unit(unit, variables) for unit in rates.T]
    known = [name for name in found if name]
    return {kind: sum(name in names for name in known) / max(1, len(known)) for kind, names in CLASSES.items()}


def of_unit(rate: np.ndarray, variables: dict[str, np.ndarray]) -> str:
    """(2): the variable that tells most of it, or ''."""
    if np.ptp(rate) < 1e-9:
        return ""
    fits: dict[str, Any] = {name: pearsonr(value, rate) for name, value in variables.items() if np.ptp(value) > 0}
    told = {name: fit.statistic**2 for name, fit in fits.items() if fit.pvalue < 0.05 / len(variables)}
    return max(told, key=told.__getitem__) if told else ""
