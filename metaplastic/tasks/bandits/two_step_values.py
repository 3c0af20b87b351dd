"""What the two-step task can earn in a trial: by who knows where it pays, and by an ideal observer.

c is the probability of a common transition. With a good and a bad state, and with four walks that are uniform on
[LOW, HIGH] at every trial (where such a walk starts it stays), who knows the probabilities earns

    reversal:  c good + (1 - c) bad                                                                               (1)
    walk:      LOW + (HIGH - LOW) (c E M4 + (1 - c) E m),   E M4 = 4/5,  E m = 2 (2/3) - 4/5                       (2)

where M4 is the larger and m the smaller of the two states' better actions. If good + bad = 1, every outcome tells as
much about the good state, wherever it was had, so the greedy choice is ideal. With B the larger of the probabilities
that state 0 or state 1 is good,

    E[reward] = bad + (good - bad) (c B + (1 - c) (1 - B)),   2 B - 1 = (2 S - 1) / (good - bad)                   (3)

S is the belief of `switching.belief_in_choice`, whose arms pay with `good` and `bad` and reverse alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from metaplastic.tasks.bandits import switching

LOW, HIGH = 0.25, 0.75
"""where a walk is reflected"""
WALK_CHANCE = (LOW + HIGH) / 2


def reversal_oracle(common: float, good: float, bad: float) -> float:
    """(1)."""
    return common * good + (1 - common) * bad


def walk_oracle(common: float) -> float:
    """(2)."""
    better, worse = 4 / 5, 2 * 2 / 3 - 4 / 5
    return LOW + (HIGH - LOW) * (common * better + (1 - common) * worse)


@lru_cache
def reversal_ceiling(common: float, good: float, bad: float, reversal: float, trials: int) -> float:
    """(3), mean over trials; the oracle's (1), which no learner reaches, if good + bad is not 1."""
    if abs(good + bad - 1) > 1e-9:
        return reversal_oracle(common, good, bad)
    course = switching.Course(np.full((1, trials), good), np.full((1, trials, 1), reversal))
    sure = float(switching.ideal_payoff(course).mean())
    belief = (1 + (2 * sure - 1) / (good - bad)) / 2
    return bad + (good - bad) * (common * belief + (1 - common) * (1 - belief))
