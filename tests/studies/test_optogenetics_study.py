"""The optogenetics study: its analysis by hand, its smoke (control gap after 500 updates), and its page."""

import numpy as np
import pytest

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.studies.dopamine import optogenetics
from metaplastic.studies.dopamine.laboratory import train_population
from metaplastic.studies.dopamine.optogenetics import (
    MANIPULATIONS,
    NETWORK,
    TASK,
    Found,
    OptogeneticsStudy,
    Play,
    claims,
    play,
    played,
)
from metaplastic.studies.study import Run, run_study


def planted(low: float, high: float) -> dict[str, np.ndarray]:
    """Two seeds, 400 episodes: the risky side, drawn at random, is chosen so often in free trials."""
    random = np.random.default_rng(0)
    risky = np.tile(random.integers(0, 2, (2, 400)), (30, 1, 1))
    chance = np.tile(np.repeat([0.125, 0.5], 200), (30, 2, 1))
    gambles = random.random(risky.shape) < np.where(chance > 0.3, high, low)
    reward = np.where(gambles, 4.0 * (random.random(risky.shape) < chance), 1.0)
    rpe = np.where(reward == 4, 3.0, np.where(reward == 0, -1.0, 0.25))
    return {
        "action": np.where(gambles, risky, 1 - risky),
        "reward": reward,
        "rpe": rpe,
        "latent.life.risky": risky,
        "latent.life.chance": chance,
    }


def test_the_analysis_finds_what_is_planted():
    found = played(planted(0.1, 0.9))
    np.testing.assert_allclose(found.risky, [[10, 90]] * 2, atol=2)
    assert found.course.shape == (2, 2, 20)
    np.testing.assert_allclose(found.errors, np.broadcast_to([3.0, -1.0, 0.25], (2, 2, 3)))
    np.testing.assert_allclose(found.earned, [(0.95 + 1.9) / 2] * 2, atol=0.06)
    assert found.forced.tolist() == [1, 1]


def test_the_table_wants_every_direction():
    def at(low: float, high: float) -> Play:
        return played(planted(low, high))

    names = dict(zip(MANIPULATIONS, [at(0.1, 0.9), at(0.03, 0.3), at(0.5, 0.95), at(0.3, 0.94)], strict=True))
    flat = at(0.5, 0.5)
    good = Found(names, flat, flat, flat, at(0.1, 0.9), 0.0, True)
    assert all(claim.within for claim in claims(good))
    same = good._replace(plays=names | {"boost risky loss": names["control"]}, most_moved=3.0)
    failed = [claim.what for claim in claims(same) if not claim.within]
    assert [what.split(",")[0] for what in failed] == [
        "boost risky loss",
        "all of these in one seed",
        failed[-1].split(",")[0],
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("agents"), 1, say=lambda _: None)
    return train_population(run, "agents", NETWORK, A2C(updates=500, batch=64, discount=optogenetics.DISCOUNT), TASK)


def test_five_hundred_updates_teach_to_choose_by_a_signal_that_is_no_reward(trained):
    control = play(trained, 400)
    assert control.gap[0] >= 30
    assert control.forced[0] > 0.95


def test_blocking_risky_rewards_lowers_risky_choices_and_touches_no_weight(trained):
    before = trained.agents.checksum()
    assert play(trained, 400, "block risky reward").risky[0, 1] < play(trained, 400).risky[0, 1] - 10
    assert trained.agents.checksum() == before


def test_changes_are_heard_by_the_actor_after_their_outcome_alone(trained):
    names = (*optogenetics.NAMES, "value")
    plain = trained.record(50, names)
    changed = trained.record(50, names, changes=MANIPULATIONS["block risky reward"])
    same_first = (plain["action"][0] == changed["action"][0]).all()
    assert same_first
    for episode in range(50):
        wins = np.flatnonzero(plain["reward"][:, 0, episode] == 4)
        first = wins[0] + 1 if len(wins) else 30
        for name in ("action", "reward", "value"):  # the same life up to the first changed moment
            np.testing.assert_array_equal(plain[name][:first, 0, episode], changed[name][:first, 0, episode])


def test_a_quick_look_writes_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(optogenetics, "UPDATES", 40)
    result = run_study(OptogeneticsStudy(), Run(tmp_path / "study", seeds=2, scale="quick", say=lambda _: None))
    assert {"page.html", "optogenetics.svg"} <= {file.name for file in (tmp_path / "study").iterdir()}
    assert next(claim for claim in result.claims if "actors that hear" in claim.what).measured == "0.0"


@pytest.mark.slow
def test_the_study_holds(tmp_path):
    assert run_study(OptogeneticsStudy(), Run(tmp_path / "study")).holds
