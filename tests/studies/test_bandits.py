"""The bandits study: what is planted is found, a population learns, a page is written."""

import jaxtyping
import numpy as np
import pytest

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.dopamine import bandits
from metaplastic.studies.dopamine.bandits_table import OPTIMUM, RANDOM, WIN_STAY, correlated_rows, independent_rows
from metaplastic.studies.dopamine.laboratory import train_population
from metaplastic.studies.registry import study
from metaplastic.studies.study import Run, read_result, run_study
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.players import Random
from metaplastic.tasks.bandits.values import ideal_independent


def silent(text):
    del text


def test_the_optimum_is_the_exact_one():
    assert ideal_independent(100) == pytest.approx(64.918, abs=1e-3)
    assert pytest.approx(100 * 2 / 3 - ideal_independent(100), abs=1e-3) == OPTIMUM


def test_regret_of_win_stay_lose_shift_is_what_a_simulation_finds():
    draw = np.random.default_rng(3)
    means = draw.random((40_000, 2))
    row, arm, regret = np.arange(len(means)), draw.integers(0, 2, len(means)), 0.0
    for trial in range(130):
        if trial >= 30:  # it settles first
            regret += (means.max(1) - means[row, arm]).mean()
        arm = np.where(draw.random(len(means)) < means[row, arm], arm, 1 - arm)
    assert regret == pytest.approx(WIN_STAY, abs=0.15)


def planted(regrets, seeds=3):
    """A population whose regret grows evenly to the number given for each test, a little more for each later seed."""
    last = {name: value + 0.01 * np.arange(seeds) for name, value in regrets.items()}
    course = np.linspace(0, 1, 100)[:, None]
    nothing = np.zeros((100, 2), np.int64), np.zeros((2, 2))
    return {name: bandits.Play(course * value, *nothing) for name, value in last.items()}


def test_rows_tell_a_population_that_is_fitted_to_its_bandits_from_one_that_is_not():
    good = planted({"independent": 2.7, "easy": 0.9, "medium": 1.3, "hard": 2.6})
    poor = planted({"independent": 5.0, "easy": 3.0, "medium": 2.4, "hard": 2.6})
    eleven = bandits.Eleven(*(np.zeros((5, 3)) for _ in range(4)))
    controls = bandits.Controls([RANDOM], [9.0], [RANDOM])
    curve = bandits.Curve(np.linspace(0, 3, 100), np.zeros(100))
    known = {"independent": {"Thompson": curve, "UCB 1": curve, "Bayes, independent": curve}}
    found = bandits.Found(poor, good, known, eleven, controls, True, 64.918)
    assert [claim.within for claim in correlated_rows(found)] == [True, True, True, True]
    assert independent_rows(found)[1].within is False
    swapped = found._replace(independent=good, correlated=poor)
    assert [claim.within for claim in correlated_rows(swapped)] == [False, False, False, False]
    assert all(claim.within is not False for claim in independent_rows(swapped))
    too_good = found._replace(independent=planted({"independent": 1.5}))
    assert independent_rows(too_good)[4].within is False, "below the optimum: something leaks"


def test_a_short_training_already_learns_within_an_episode(tmp_path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # every step of 600 trainings would be checked
    short = Bandit(structure="medium", trials=39, test_trials=1)  # but tested on 100 trials
    rule = A2C(updates=600, batch=32, discount=0.8, learning_rate=0.01)
    run = Run(tmp_path, seeds=1, say=silent)
    trained = train_population(run, "medium", LSTM(units=24), rule, short)
    (regret,) = bandits.play(trained, "medium", 500).last
    assert 0.9 < regret <= 12, "random choices have 25, the optimum 1"


def test_a_quick_look_writes_a_page(tmp_path, monkeypatch):
    players = {name: Random() for name in ("Thompson", "UCB 1", "Bayes, independent", "Bayes, p and 1 - p")}
    monkeypatch.setattr(bandits, "bandit_references", lambda trials: players if trials == 100 else {})
    monkeypatch.setattr(bandits, "UPDATES", 40)
    monkeypatch.setattr(bandits, "BATCH", 3)
    monkeypatch.setattr(bandits, "ELEVEN", A2C(updates=40, batch=5))
    result = run_study(study("bandits"), Run(tmp_path / "out", seeds=2, scale="quick", say=silent))
    assert [drawing.name for drawing in result.drawings] == ["regret", "choices", "eleven"]
    assert (tmp_path / "out" / "page.html").is_file()
    numbers = read_result(tmp_path / "out")["numbers"]
    assert len(numbers["regret"]["independent"]["hard"]) == 2
    assert numbers["controls"]["untrained"] == pytest.approx([RANDOM] * 2, abs=6)


@pytest.mark.slow
def test_the_accepted_run(tmp_path):
    assert run_study(study("bandits"), Run(tmp_path / "out", say=silent)).holds
