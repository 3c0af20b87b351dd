"""A distributional code for value in dopamine (Dabney et al. 2020): cells that weigh good and bad surprises unlike.

    V_i += alpha+_i delta_i if delta_i > 0 else alpha-_i delta_i,   delta_i = r - V_i                             (1)
    tau_i = alpha+_i / (alpha+_i + alpha-_i)                                                                      (2)

No network: populations of cells learn by (1), noise is added to what they answer, and everything is then estimated
from the answers as from recordings (`analysis/distributional.py`): reversal points and asymmetries on halves of the
trials that share none, the distribution of rewards that they imply together, and how they see a cue of 50 %. A
classical population, alpha+ = alpha- in every cell, goes through the same mill.
Shapes: N cells, T trials, S populations (seeds).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr, ttest_1samp

from metaplastic import rng
from metaplastic.studies.analysis.distributional import (
    CUE_CHANCES,
    MAGNITUDES,
    Decoding,
    SplitHalf,
    decoding_controls,
    drawn_cues,
    drawn_rates,
    drawn_rewards,
    live_channels,
    optimism,
    optimists,
    responses,
    split_half,
)
from metaplastic.studies.dopamine.claims import row
from metaplastic.studies.dopamine.distributional_figure import draw
from metaplastic.studies.study import Claim, Result, Run, Study

CELLS, TRIALS = 40, 20_000
FULL = 150, 25_000
"""cells and trials of a public re-implementation"""
RECORDED, NOISE = 560, 1.0
"""trials of the recording, half of them for each estimate, and standard deviation of an answer, in microlitres"""
CUE_TRIALS, CUE_NOISE = 150, 0.2
"""recorded presentations of each odour, and standard deviation of an answer, in rewards"""
MIDDLE = 5.0
"""microlitres; some cells are excited by it and others inhibited"""
LEVEL = 0.05
"""of a test of one cell, divided by the number of cells"""


class Population(NamedTuple):
    """One population of cells, and what is estimated of it."""

    tau: Float[np.ndarray, " N"]
    value: Float[np.ndarray, " N"]
    """V after learning, mean over the second half of the trials"""
    response: Float[np.ndarray, "T N"]
    reward: Float[np.ndarray, " T"]
    split: SplitHalf
    middle: tuple[float, float]
    """shares of cells that `MIDDLE` excites and inhibits"""
    optimism: Float[np.ndarray, " N"]
    """where the answer to the 50 % cue lies between those to 10 % and 90 %, without noise"""
    hopes: tuple[float, float]
    """shares of optimistic and pessimistic cells, from noisy answers"""

    @property
    def order(self) -> float:
        """Spearman's r of tau and V, without noise."""
        return float(np.asarray(spearmanr(self.tau, self.value))[0])


def population(cells: int, trials: int, seed: int, *, classical: bool = False) -> Population:
    """Learn both tasks, record, estimate; `seed` decides everything."""
    draws = [int(number) for number in rng.fold(rng.root(seed), rng.numbers(8, "cpu")).abs() % 2**31]
    rates = drawn_rates(cells, seed=draws[0], classical=classical)
    value = live_channels(rates, drawn_rewards(trials, draws[1])).average[:, 0]
    reward = drawn_rewards(RECORDED, draws[2])
    answered = responses(value, rates, reward, NOISE, draws[3])
    cue, paid = drawn_cues(trials, draws[4])
    expected = live_channels(rates, paid, cue, start=0.5).average
    shown = np.repeat(np.arange(len(CUE_CHANCES)), CUE_TRIALS)
    clean = expected[:, shown].T
    heard = clean + CUE_NOISE * rng.normals(rng.root(draws[5]), *clean.shape).double().numpy()
    found = optimists(heard, shown, LEVEL / cells)
    return Population(
        rates.tau,
        value,
        answered,
        reward,
        split_half(answered, reward, draws[6]),
        excited_and_inhibited(answered[reward == MIDDLE]),
        optimism(clean, shown),
        (float((found == 1).mean()), float((found == -1).mean())),
    )


def excited_and_inhibited(response: Float[np.ndarray, "T N"]) -> tuple[float, float]:
    """Shares of cells whose mean answer is above and below 0, by t tests."""
    found = ttest_1samp(response, 0.0, axis=0)
    told = np.asarray(found.pvalue) < LEVEL / response.shape[1]  # pyright: ignore[reportAttributeAccessIssue]
    return float((told & (response.mean(0) > 0)).mean()), float((told & (response.mean(0) < 0)).mean())


class Found(NamedTuple):
    """All populations."""

    distributional: list[Population]
    classical: list[Population]
    decoded: list[Decoding]
    """of each distributional population"""


class DistributionalStudy(Study):
    """Variable magnitude, variable probability, decoding."""

    name: ClassVar[str] = "distributional"
    title: ClassVar[str] = "Distributional value: dopamine cells with reversal points of their own"
    question: ClassVar[str] = (
        "If every dopamine cell weighs positive and negative prediction errors in its own ratio, do cells then differ "
        "in the reward that leaves them unmoved, does the one predict the other on other trials, and can the whole "
        "distribution of rewards be read from them?"
    )
    method: ClassVar[str] = (
        f"{CELLS} cells with rates drawn from U(.001, .021) learn {TRIALS} trials of seven reward sizes, and as many "
        "of three odours that are rewarded with chance .1, .5 and .9. Their answers to 560 rewards get noise of "
        "1 microlitre; reversal points and asymmetries are estimated on two halves that share no trial. Samples are "
        "then sought whose expectiles are the cells' reversal points. The control has one rate in each cell. A seed is "
        "a population with draws of its own."
    )
    departures: ClassVar[Sequence[str]] = (
        "The cells are simulated with the published model; no recordings of animals are analysed.",
        "No utility is put between reward and error. The paper's reward sizes and their chances are kept.",
        "An answer's slopes are in the ratio of the rates: the paper's model says so of its cells too.",
        "Decoding a classical population is no control: where all cells say the same, the start of the search decides "
        "the shape. So asymmetries are shuffled over cells, and a Gaussian with the true moments is held beside.",
        "Cells are told apart by tests at .05 divided by the number of cells, so that few are by accident.",
    )
    references: ClassVar[Sequence[str]] = (
        "Dabney et al. 2020, A distributional code for value in dopamine-based reinforcement learning, Nature 577:671",
        "Lowet et al. 2020, Distributional reinforcement learning in the brain, Trends Neurosci 43:980",
    )
    minutes: ClassVar[float | None] = 0.3

    def run(self, run: Run) -> Result:
        """Learn, record, estimate, decode."""
        cells, trials = {"quick": (CELLS, TRIALS // 5), "full": FULL}.get(run.scale, (CELLS, TRIALS))
        seeds = [run.seed * 1000 + seed for seed in range(run.seeds)]
        run.say(f"{run.seeds} distributional and classical populations of {cells} cells, {trials} trials")
        both = [[population(cells, trials, seed, classical=same) for seed in seeds] for same in (False, True)]
        run.say("decoding")
        decoded = [decoding_controls(one.value, one.tau, seed=seed) for one, seed in zip(both[0], seeds, strict=True)]
        found = Found(both[0], both[1], decoded)
        return Result(claims(found), draw(found), numbers(found))


def claims(found: Found) -> list[Claim]:
    """The table."""
    own, same = found.distributional, found.classical
    names = {
        "reversal": "reversal points of two halves: r",
        "tau": "asymmetries of two halves: r",
        "cross": "reversal point and asymmetry of the other half: r",
    }
    rows = [
        row("tau and V without noise: Spearman's r", "≥ .95", "derived", [p.order for p in own], lambda x: x >= 0.95)
    ]
    for field, what in names.items():
        pairs = [getattr(p.split, field) for p in own]
        within = [r if p < 0.01 else 0.0 for r, p in pairs]
        rows.append(row(what, "> .3, p < .01", "proposed", within, lambda x: x > 0.3))
    worst = max(p.split.cross[1] for p in own)
    rows.append(Claim("the last: p", "8.1e-5 (40 cells)", "second hand", f"≤ {worst:.1g}", None))
    for field, what in names.items():
        nulls = [getattr(p.split, field)[0] for p in same]
        rows.append(row(f"classical: {what}", "|r| < .3", "derived", nulls, lambda x: abs(x) < 0.3))
    shares = [min(p.middle) for p in own]
    rows.append(
        row(
            "5 µl: cells excited, and cells inhibited (the fewer)",
            "both there, ≥ .1",
            "our bound",
            shares,
            lambda x: x >= 0.1,
        )
    )
    shares = [min(p.middle) for p in same]
    rows.append(row("classical: the same", "0", "derived", shares, lambda x: x == 0))
    ratio = [d.real / d.shuffled for d in found.decoded]
    rows.append(row("decoded rewards: W1 to the truth / tau shuffled", "≤ .5", "proposed", ratio, lambda x: x <= 0.5))
    ratio = [d.real / d.gaussian for d in found.decoded]
    rows.append(row("decoded rewards: W1 / Gaussian's", "< 1", "proposed", ratio, lambda x: x < 1))
    for which, name in enumerate(("optimistic", "pessimistic")):
        shares = [p.hopes[which] for p in own]
        rows.append(row(f"50 % cue: {name} cells", "≥ .2, side by side", "proposed", shares, lambda x: x >= 0.2))
    rows.append(row("classical: both together", "0", "derived", [sum(p.hopes) for p in same], lambda x: x == 0))
    return rows


def numbers(found: Found) -> dict[str, object]:
    """Everything behind the table, for result.json."""

    def plain(one: Population) -> dict[str, object]:
        kept = {name: getattr(one, name).tolist() for name in ("tau", "value", "optimism")}
        return kept | {"split": one.split._asdict(), "middle": one.middle, "hopes": one.hopes}

    decoded = [{name: getattr(d, name) for name in ("real", "shuffled", "uniform", "gaussian")} for d in found.decoded]
    populations = {name: [plain(one) for one in getattr(found, name)] for name in ("distributional", "classical")}
    return {**populations, "w1": decoded, "magnitudes": MAGNITUDES.tolist()}
