"""Reference learners: their equations by hand, and recovery of what they were simulated with."""

import numpy as np
import pytest
import torch

from metaplastic.studies.analysis.fitting import fit, fit_blocks, log_likelihoods, policy_learning_rate
from metaplastic.studies.analysis.learners import QLearning, Recorded, RescorlaWagner, TwoStepLearner, followed, softmax
from metaplastic.studies.analysis.references import played
from metaplastic.studies.analysis.two_step_errors import (
    Errors,
    explained,
    model_based_errors,
    model_free_errors,
)
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.two_step import TwoStep


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers)[:, None]


def test_rescorla_wagner_by_hand_with_a_missing_trial():
    seen = Recorded(column(0, -1, 0, 1), column(1.0, 1.0, 0.0, np.nan))
    learner = RescorlaWagner(fixed={"forget": 0.5, "initial": 0.0}, free=("alpha", "alpha_loss", "beta"))
    found = followed(learner, seen, {"alpha": 0.4, "alpha_loss": 0.1, "beta": 1.0})
    np.testing.assert_allclose(found["delta"][:, 0], [1, np.nan, -0.2, np.nan])
    # .4 after a win, half of it forgotten while nothing was chosen; .1 of a loss of .2
    np.testing.assert_allclose(found["q"][:, 0, 0], [0, 0.4, 0.2, 0.18])
    mirrored = followed(
        RescorlaWagner(mirrored=True), Recorded(column(0, 1), column(1.0, 1.0)), {"alpha": 0.4, "beta": 1}
    )
    np.testing.assert_allclose(mirrored["q"][1, 0], [0.7, 0.3])


def test_q_learning_passes_value_back_along_the_trace():
    # two states in a row, reward at the end: with lam = 1 both learn at once
    seen = Recorded(column(1, 0), column(0.0, 1.0), column(0, 1), None, column(1, -1))
    learner = QLearning(2, 2, fixed={"gamma": 0.5, "lam": 1.0})
    p = learner.complete({"alpha": 0.2, "beta": 1.0})
    memory = learner.start((1,), p)
    for t in (0, 1):
        memory, signals = learner.learn(memory, p, seen.at(t))
    np.testing.assert_allclose(memory["q"][0], [[0, 0.2 * 0.5], [0.2, 0]])
    assert signals["delta"] == pytest.approx([1.0])
    # once more: delta = 0 + .5 * .2 - .1 = 0
    assert followed(learner, Recorded(*(None if x is None else np.tile(x, (2, 1)) for x in seen)), p)["delta"][
        2
    ] == pytest.approx([0.0])


def test_the_two_step_learner_by_hand():
    seen = Recorded(column(0, 0), column(1.0, 0.0), column(1, 0))  # uncommon and paid, then common and not
    found = followed(TwoStepLearner(), seen, {"alpha": 0.5, "w": 0.25, "lam": 0.5, "beta": 1.0})
    # trial 1: delta_2 = 0, delta_r = .5, Q_MF(0) = .5 + .5 * .5 * .5 = .625, V(1) = .75
    np.testing.assert_allclose(found["delta_2"][:, 0], [0, 0.5 - 0.625])
    np.testing.assert_allclose(found["delta_r"][:, 0], [0.5, -0.5])
    q_mb = np.array([0.8 * 0.5 + 0.2 * 0.75, 0.8 * 0.75 + 0.2 * 0.5])
    np.testing.assert_allclose(found["q"][1, 0], 0.25 * q_mb + 0.75 * np.array([0.625, 0.5]))
    np.testing.assert_allclose(found["delta_mb"][1, 0], 0.5 - q_mb[0])


def test_references_of_the_two_step_errors_by_hand():
    seen = Recorded(column(0, 0), column(1.0, 0.0), column(1, 0))
    mb, mf = model_based_errors(seen, 0.5), model_free_errors(seen, 0.5)
    # V = (.25, .75) after the first trial: Q(0) = .8 * .25 + .2 * .75 = .35
    np.testing.assert_allclose(mb.stage2[:, 0], [0, 0.25 - 0.35])
    np.testing.assert_allclose(mb.outcome[:, 0], [0.5, -0.25])
    np.testing.assert_allclose(mf.stage2[:, 0], [0, 0.5 - 0.75])  # SARSA(1): Q(0) = .5 + .5 (1 - .5)
    np.testing.assert_allclose(mf.outcome[:, 0], [0.5, -0.5])


def test_softmax_and_likelihood_by_hand():
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3)]), 0.2), [0.8 * 0.25 + 0.1, 0.8 * 0.75 + 0.1])
    seen = Recorded(column(0, 0, -1), column(1.0, 1.0, 1.0))
    free = np.array([[0.5, 2.0], [0.5, 0.0]])
    p = 1 / (1 + np.exp(-2.0 * (0.75 - 0.5)))
    wanted = [np.log(0.5) + np.log(p), 2 * np.log(0.5)]
    np.testing.assert_allclose(log_likelihoods(RescorlaWagner(), seen, free), wanted)


def test_parameters_of_rescorla_wagner_are_recovered():
    learner = RescorlaWagner(free=("alpha", "beta", "stick"))
    planted = {"alpha": 0.3, "beta": 5.0, "stick": 0.5}
    seen = played(Bandit(structure="restless", trials=150), learner, planted, torch.arange(100), 150)
    found = fit(learner, seen, starts=2)
    assert found.is_converged
    assert found.choices == 100 * 150
    assert found.parameters == pytest.approx({"alpha": 0.3, "beta": 5.0, "stick": 0.5}, rel=0.15)
    assert found.log_likelihood >= log_likelihoods(learner, seen, np.array([[0.3, 5.0, 0.5]]))[0]


@pytest.mark.parametrize("w", [0.0, 0.6, 1.0])
def test_the_weight_of_planning_is_recovered(w):
    learner = TwoStepLearner(free=("alpha", "beta", "w"))
    seen = played(TwoStep(), learner, {"alpha": 0.4, "beta": 5.0, "w": w}, torch.arange(100), 100)
    found = fit(learner, seen, starts=1)
    assert found.parameters["w"] == pytest.approx(w, abs=0.1)
    assert found.parameters["alpha"] == pytest.approx(0.4, abs=0.06)


def test_bic_prefers_the_learner_that_was_simulated():
    lifetime, task = torch.arange(40), TwoStep()
    plans, td = (TwoStepLearner(free=("alpha", "beta"), fixed={"w": w}) for w in (1.0, 0.0))
    for truth, other in ((plans, td), (td, plans)):
        seen = played(task, truth, {"alpha": 0.4, "beta": 4.0}, lifetime, 100)
        assert fit(truth, seen, starts=1).bic < fit(other, seen, starts=1).bic - 20


def test_blocks_are_fitted_apart():
    learner = RescorlaWagner(free=("beta",), fixed={"alpha": 0.3})
    cold, hot = (played(Bandit(), learner, {"beta": beta}, torch.arange(30), 60) for beta in (1.0, 8.0))
    seen = Recorded(np.concatenate((cold.action, hot.action), 1), np.concatenate((cold.reward, hot.reward), 1))
    first, second = fit_blocks(learner, seen, 30)
    assert first.parameters["beta"] == pytest.approx(1, abs=0.5)
    assert second.parameters["beta"] == pytest.approx(8, abs=1.5)


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_rate_behind_a_policy_is_found_even_with_noise(mirrored):
    draw, T, E = np.random.default_rng(0), 120, 100
    seen = Recorded(draw.integers(0, 2, (T, E)), (draw.random((T, E)) < 0.5) * 1.0)
    q = followed(RescorlaWagner(mirrored=mirrored), seen, {"alpha": 0.2, "beta": 1.0})["q"]
    logit = 7 * (q[..., 0] - q[..., 1]) + draw.standard_normal((T, E))
    found = policy_learning_rate(seen.action, seen.reward, logit, mirrored=mirrored)
    assert found.alpha == pytest.approx(0.2, abs=0.021)
    assert found.r > 0.7
    with pytest.raises(ValueError, match="wanted fewer"):
        policy_learning_rate(seen.action, seen.reward, logit, first=120)


def test_errors_of_a_planner_are_explained_by_planning_and_raw_shares_mislead():
    behaviour = TwoStepLearner(free=("alpha", "beta"), fixed={"w": 1.0}, mirrored=True)
    seen = played(TwoStep(), behaviour, {"alpha": 0.3, "beta": 8.0}, torch.arange(100), 100)
    draw = np.random.default_rng(1)
    noisy = Errors(*(x + 0.1 * draw.standard_normal(x.shape) for x in model_based_errors(seen, 0.3)))
    found = explained(noisy, seen, is_kept=np.arange(100) >= 8)
    assert found.alpha == pytest.approx(0.3)
    assert found.pooled.model_based_r2 > 0.9
    assert found.pooled.model_free_r2 > 0.5
    assert found.pooled.unique_model_free < 0.01
    td = Errors(*(x + 0.1 * draw.standard_normal(x.shape) for x in model_free_errors(seen, 0.3)))
    found = explained(td, seen)
    assert found.pooled.unique_model_free > 0.3
    assert found.pooled.unique_model_free > 10 * found.pooled.unique_model_based


def test_parameters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no parameter 'alfa'"):
        RescorlaWagner(free=("alfa",))
    with pytest.raises(ValueError, match="free and fixed"):
        RescorlaWagner(fixed={"alpha": 0.1})
    with pytest.raises(ValueError, match="wanted some of both"):
        fit(RescorlaWagner(), Recorded(np.full((3, 2), -1), np.zeros((3, 2))))
    with pytest.raises(ValueError, match="wanted the state"):
        followed(TwoStepLearner(), Recorded(column(0), column(1.0)), {"alpha": 0.1, "beta": 1, "w": 1})
