"""The DNMS study: its criterion, its table, its figure, and a short form that learns."""

import numpy as np

from metaplastic.inner_loop.rules.perturbation import NodePerturbation
from metaplastic.studies.reward.miconi_dnms import CONTENDERS, NETWORK, Found, claims, lived, trials_to_criterion
from metaplastic.studies.reward.miconi_dnms_figure import panels, smoothed


def test_the_criterion_is_first_checked_after_200_trials():
    error = np.ones((400, 3))
    error[:, 0] = 0.0
    error[150:, 1] = 0.4
    assert trials_to_criterion(error) == [200, 245, None]


def test_five_misses_in_a_hundred_are_allowed_and_six_are_not():
    error = np.full((300, 2), 0.1)
    error[100:105, 0] = error[100:106, 1] = 1.0
    assert trials_to_criterion(error) == [200, 201]


def found(*when: int | None) -> Found:
    return Found(np.linspace(1, 0.1, 7000)[:, None].repeat(len(when), 1), list(when), np.full(len(when), 0.99))


def test_the_table_wants_five_of_eight_and_six_of_eight():
    done: tuple[int | None, ...] = (900,) * 5 + (None,) * 3
    table = claims({"miconi17": found(*done), "node_perturbation": found(*done)})
    assert [claim.within for claim in table if claim.within is not None] == [True, False]
    late: tuple[int | None, ...] = (3001,) * 8
    table = claims({"miconi17": found(*late), "node_perturbation": found(*late)})
    assert [claim.within for claim in table if claim.within is not None] == [False, True]
    nobody = claims({"miconi17": found(None), "node_perturbation": found(None)})
    assert "–" in [claim.measured for claim in nobody]


def test_the_figure_smooths_over_a_hundred_trials():
    error = np.arange(300.0)[:, None]
    assert smoothed(error)[0] == np.arange(100).mean()
    assert len(smoothed(error)) == 201
    assert len(smoothed(error[:30])) == 1
    figure = panels({"a": found(900, None), "b": found(1500)}, {"a": 3000, "b": 7000})
    assert len(figure.axes) == 2


def test_a_short_form_learns():
    """A tenth of the time, a quarter of the neurons."""
    network = NETWORK.model_copy(update={"units": 50, "tau": 8.0, "perturbation_rate": 0.02, "perturbation": 8.0})
    rule = NodePerturbation(quiet_trials=50, eta=0.02, limit=3e-3)
    short = {"trial": 100.0, "stimulus": 20.0, "delay": 10.0, "response": 20.0}
    one = lived(rule, 300, 6, 0, network, **short)
    assert one.error.shape == (300, 6)
    assert one.error[200:].mean() < one.error[:100].mean() - 0.05
    assert set(CONTENDERS) == {"miconi17", "node_perturbation"}
