"""The table of the bandits study: what was published, derived or proposed, and what was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.dopamine.claims import checksum_row, row
from metaplastic.studies.study import Claim, enough, mean_and_error
from metaplastic.tasks.bandits.dependent import ideal, search

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.bandits import Found

RANDOM = 100 / 6
"""regret of any choice without learning in 100 trials of two independent arms: E |p_1 - p_2| / 2 = 1/6"""
WIN_STAY = 100 * 2 / 3 * (1.5 - 2 * np.log(2))
"""regret of win-stay, lose-shift, once it has settled: it errs with chance q_best / (q_1 + q_2), q = 1 - p"""
OPTIMUM = 100 * 2 / 3 - 64.918
"""regret of the exact optimum"""


def claims(found: Found) -> list[Claim]:
    """All rows."""
    return [*independent_rows(found), *correlated_rows(found), *eleven_rows(found), *control_rows(found)]


def independent_rows(found: Found) -> list[Claim]:
    """A1."""
    regret, known = found.independent["independent"].last, found.known["independent"]
    thompson, ucb = known["Thompson"].mean[-1].item(), known["UCB 1"].mean[-1].item()
    optimum = known["Bayes, independent"].mean[-1].item()
    normalised = [(RANDOM - one) / (RANDOM - OPTIMUM) for one in regret]
    best = f"{min(regret):.2f} (Thompson {thompson:.2f} here)"
    return [
        Claim(
            "exact value of the optimum, 100 trials",
            "64.918",
            "derived",
            f"{found.ideal:.3f}",
            abs(found.ideal - 64.918) < 1e-3,
        ),
        Claim(
            "independent arms: regret of the best seed",
            "≤ 2.8, below Thompson (2.79)",
            "our bound",
            best,
            min(regret) <= 2.8,
        ),
        row("independent arms: regret", "≤ 3.3", "proposed", regret, lambda x: x <= 3.3),
        row(f"independent arms: regret, UCB {ucb:.2f} here", "below UCB", "published", regret, lambda x: x < ucb),
        row(
            f"independent arms: regret, optimum {optimum:.2f} here",
            "> 1.70, above the optimum",
            "derived",
            regret,
            lambda x: x > 1.7,
            1.0,
        ),
        Claim("normalised: 0 random, 1 optimum", "–", "derived", mean_and_error(normalised), None),
    ]


def _apart(other: Float[np.ndarray, " S"], fitted: Float[np.ndarray, " S"]) -> Claim:
    """Two populations, each trained for itself: so their means are compared, not seed by seed."""
    gap = float(other.mean() - fitted.mean())
    errors = [float(over_seeds(one).sem) for one in (other, fitted)]
    error = math.hypot(*errors)
    return Claim("difference of the two means", "≥ .5", "proposed", f"{gap:.3f} ± {error:.3f}", gap >= 0.5)


def correlated_rows(found: Found) -> list[Claim]:
    """A2."""
    fitted, other = (np.array(plays["medium"].last) for plays in (found.correlated, found.independent))
    levels = np.array([found.correlated[name].last for name in ("easy", "medium", "hard")])
    ordered = [bool((np.diff(one) > 0).all()) for one in levels.T]
    text = " < ".join(f"{value:.2f}" for value in levels.mean(1))
    return [
        row(
            "(.25, .75), trained on p and 1 - p: regret",
            "≤ 1.6 (0 to 4 in Fig. 1d)",
            "proposed",
            fitted.tolist(),
            lambda x: x <= 1.6,
        ),
        Claim(
            "(.25, .75), trained on independent arms",
            "higher",
            "published",
            mean_and_error(other.tolist()),
            bool(other.mean() > fitted.mean()),
        ),
        _apart(other, fitted),
        Claim(
            "regret: easy < medium < hard",
            "so ordered",
            "published",
            f"{text}; {sum(ordered)} of {len(ordered)}",
            enough(ordered),
        ),
    ]


def eleven_rows(found: Found) -> list[Claim]:
    """A3."""
    eleven = found.eleven
    best, blind = f"≥ 20.0 (ideal {ideal(5):.2f}, search {search(5):.2f})", eleven.earned.tolist()
    return [
        row(
            "eleven arms: first pull is the one that tells",
            "≥ .95",
            "our bound",
            eleven.asked.tolist(),
            lambda x: x >= 0.95,
        ),
        row(
            "eleven arms: target from pull 2 on",
            "≥ .95",
            "our bound",
            eleven.after.tolist(),
            lambda x: x >= 0.95,
        ),
        row("eleven arms: payoff of five pulls", best, "derived", blind, lambda x: x >= 20.0),
    ]


def control_rows(found: Found) -> list[Claim]:
    """What must not learn."""
    controls = found.controls
    chance = "16.7 ± 1.7"
    return [
        row(
            "regret, reward withheld, retrained",
            chance,
            "derived",
            controls.blind,
            lambda x: abs(x - RANDOM) <= 1.7,
            1.0,
        ),
        row("regret, untrained", chance, "derived", controls.untrained, lambda x: abs(x - RANDOM) <= 1.7, 1.0),
        row(
            "regret, state reset (it still hears the last trial)",
            f"no better than win-stay, lose-shift ({WIN_STAY:.1f})",
            "derived",
            controls.forgetful,
            lambda x: x >= WIN_STAY - 0.5,
            1.0,
        ),
        checksum_row(found.is_unchanged),
    ]
