"""The AuGMEnT study: its curve by hand, its table, and a small population from birth to success."""

import numpy as np

from metaplastic.inner_loop.feedback.augment import Augment
from metaplastic.inner_loop.feedback.augment_kernel import Goal
from metaplastic.inner_loop.networks.working_memory import WorkingMemory
from metaplastic.studies.reward.augment import Found, claims, curve_of, population
from metaplastic.studies.reward.augment_figure import panels
from metaplastic.tasks.memory.saccade import SaccadeAntisaccade

NAMES: tuple[str, ...] = (
    "with shaping",
    "without shaping",
    "criterion of the replication",
    "memory units forget at once",
    "nothing is written",
)


def found(*when: int) -> Found:
    trials = np.array(when)
    return Found(np.where(trials > 0, trials - 1, -1), trials, np.linspace(0, 1, 250))


def test_a_network_that_is_done_stays_where_it_was():
    right = np.array([[10, 50, -1, -1], [20, 40, 60, -1], [1, 2, 3, 4]])
    curve = curve_of(right, np.array([150, 210, -1]))  # 50 of 50 in the last; ten trials more than 200: too few
    np.testing.assert_allclose(curve, np.mean([[0.1, 1, 1, 1], [0.2, 0.4, 0.4, 0.4], [0.01, 0.02, 0.03, 0.04]], 0))


def test_the_table_accepts_the_published_numbers_and_refuses_others():
    good: dict[str, Found] = dict(
        zip(NAMES, (found(*[4000] * 20), found(4500, -1), found(4000), found(-1), found(-1)), strict=True)
    )
    assert all(claim.within is not False for claim in claims(good))
    few = claims({**good, "with shaping": found(4000, 4000, -1)})
    slow = claims({**good, "with shaping": found(*[9000] * 20)})
    leaky = claims({**good, "memory units forget at once": found(4000, -1)})
    assert [claim.what for claim in few if claim.within is False] == ["networks that learn"]
    assert [claim.what for claim in slow if claim.within is False] == ["trials that half of them need"]
    assert [claim.what for claim in leaky if claim.within is False] == ["memory units that forget: networks that learn"]
    assert len(panels(good).axes) == 2


def test_a_small_population_learns_an_easier_goal_and_without_memory_none_does():
    goal = Goal(12_000, 30, 0.8)
    learned = population(SaccadeAntisaccade(), WorkingMemory(), Augment(), goal, 12, 0)
    forgetful = population(SaccadeAntisaccade(), WorkingMemory(keep=0.0), Augment(), goal, 4, 0)
    assert learned.share >= 0.75
    assert 1500 < learned.median < 6000
    assert learned.curve[-1] > 0.6 > 0.2 > learned.curve[0]
    assert forgetful.share == 0
