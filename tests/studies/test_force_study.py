"""The FORCE study: its error by hand, its table, a quick run to its page, and what a push does to a small network."""

import torch

from metaplastic.inner_loop.rls.force import Force
from metaplastic.inner_loop.rules.sequence import Trials
from metaplastic.studies.recurrent import force
from metaplastic.studies.recurrent.tamed import PUSH_MS, Setting, alike, tame, with_push

SMALL = Setting(units=60, density=0.5, gain=1.5, trials=3, reads=2, lasts=150, push=30, bump=100)


def test_the_error_is_the_share_of_variance_that_is_missed():
    target = torch.tensor([[1.0], [3.0], [5.0]])[:, None]  # mean 3, sum of squares about it 8
    output = torch.tensor([[1.0], [3.0], [7.0]])[:, None]
    assert force.error(output, target).tolist() == [0.5]
    assert force.error(torch.full_like(target, 3.0), target).tolist() == [1.0]


def test_a_constant_and_a_scale_do_not_change_how_alike_trajectories_are():
    one = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(alike(one, 2 * one + 1), torch.ones(2))
    assert torch.allclose(alike(one, -one), -torch.ones(2))


def test_the_push_comes_when_it_should():
    x = torch.ones(50, 2, 1, 1)
    trials = with_push(Trials(x, x, x[..., 0], x[..., 0].long(), torch.ones(2, 1).long()), 20, torch.tensor(0.3))
    assert torch.allclose(trials.x[..., 1].sum(0), torch.tensor(0.3 * PUSH_MS))
    assert trials.x[19, 0, 0, 1] == 0
    assert trials.x[20, 0, 0, 1] > 0


def drawn(*errors: float) -> force.Drawn:
    first = torch.tensor(errors)
    curve = torch.zeros(20)
    return force.Drawn(torch.stack([first, first * 2], -1), first, curve, curve)


def test_the_table_wants_five_of_six_networks():
    good, poor = drawn(*[1e-3] * 5, 1.0), drawn(*[1e-3] * 4, 1.0, 1.0)
    claims = force.claims(force.Found(good, poor, poor, drawn(0.05, 0.2), None, None), False)
    verdicts = {claim.what: claim.within for claim in claims if claim.within is not None}
    assert verdicts == {
        "FORCE: nMSE of the first free period": True,
        "full-FORCE: nMSE of the first free period": False,
        "full-FORCE with spikes, 300 neurons: nMSE of the first free period": False,
    }


def test_a_network_that_was_fitted_runs_on_by_itself():
    net = force.network(force.GAIN).model_copy(update={"units": 100})
    after = force.trained(Force(), net, force.TASK, 2, 0, 10, 3)
    before = force.trained(Force(), net, force.TASK, 2, 0, 0, 3)
    assert after.error.shape == (2, 3)
    assert after.output.shape == after.target.shape == (1200,)
    assert (before.error > 0.9).all()  # untrained: no output at all
    assert (after.error[:, 0] < before.error[:, 0]).all()
    assert (after.error[:, 0] < 0.3).any()


def test_a_small_network_is_pushed():
    found = tame(SMALL, 2, 0)
    assert found.before.shape == found.after.shape == found.error.shape == (2,)
    assert found.innate.shape == (400, 3)
    assert found.error.isfinite().all()
