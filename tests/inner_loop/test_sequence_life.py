"""Lives of whole trials that a rule runs itself: the contract of `rules/sequence.py`."""

from typing import Literal

import pytest
import torch
from tiny_trials import KEY, TinyTrials

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.inner_loop.critics import ActionValue, RunningAverage
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Energy, Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.sequence import Lived, SequenceRule


class Readout(SequenceRule):
    """Least mean squares of a linear read-out of the input, one write a minibatch; it counts what it is told."""

    networks = ("rate_rnn",)
    kind: Literal["lms"] = "lms"
    eta: float = 0.05

    def born(self, network, spec, individuals, key, like):  # noqa: ARG002
        draw = rng.normals(key, spec.actions, spec.observations).to(like)
        told = like.new_zeros(individuals, len(key))
        return {"w": draw.expand(individuals, -1, -1, -1), "told": told}

    def trial(self, network, state, trials, key, number, learns):  # noqa: ARG002
        output = torch.einsum("plai,tlsi->tplsa", state["w"], trials.x)
        error = (output - trials.y[:, None]) * trials.w[:, None, :, :, None]
        change = torch.einsum("tplsa,tlsi->plai", error, trials.x) / trials.x.shape[2]
        return Lived(output, {**state, "w": state["w"] - self.eta * change} if learns else state, {"rates": output})

    def told(self, state, reward, prediction):
        return {**state, "told": state["told"] + (reward - prediction).sum(-1)}


def lived(individuals=2, lifetimes=3, first=0, eta=0.05, record=(), objective=None, critic=None, **task):
    return live(
        RateRNN(units=8), Readout(batch=2, eta=eta), objective or Reward(), Greedy(), critic or RunningAverage(),
        TinyTrials(**{"trials": 8, "test_trials": 3, **task}),
        individuals=individuals, lifetime=torch.arange(first, first + lifetimes), key=KEY, record=record,
        dtype=torch.float64,
    )  # fmt: skip


def test_minibatches_are_recorded_and_the_test_may_end_with_fewer_trials():
    record = lived(record=["output", "target", "rates"])
    assert record.recordings["output"].shape == (5, 9, 2, 3, 2, 2)
    assert record.recordings["target"].shape == (5, 9, 3, 2, 2)
    assert record.score.shape == (2, 3)
    assert record.curve.shape == (2, 3, 8)


def test_a_life_does_not_depend_on_those_beside_it():
    whole, part = lived(), lived(1, 1, first=2)
    torch.testing.assert_close(part.score[0, 0], whole.score[0, 2])
    torch.testing.assert_close(part.curve[0, 0], whole.curve[0, 2])


def weights(record, batch):
    """The weights that the outputs of a minibatch tell of."""
    x, output = record.recordings["observation"][batch], record.recordings["output"][batch]
    return torch.linalg.lstsq(x[:, 0].flatten(0, 1), output[:, 0, 0].flatten(0, 1)).solution


def test_the_state_is_written_in_learning_alone():
    record = lived(eta=0.2, trials=4, test_trials=6, record=["observation", "output"])
    torch.testing.assert_close(weights(record, 2), weights(record, 4))
    assert not torch.allclose(weights(record, 0), weights(record, 1))
    assert not torch.allclose(weights(record, 1), weights(record, 2))


def test_a_minibatch_that_does_not_divide_the_life_is_refused():
    with pytest.raises(ValueError, match=r"rule.batch is 2, which does not divide the 7 trials"):
        lived(trials=7)


@pytest.mark.parametrize(
    ("part", "words"), [({"objective": Energy()}, "objective has energy"), ({"critic": ActionValue()}, "action_value")]
)
def test_what_no_trial_hears_is_refused(part, words):
    with pytest.raises(ConfigError, match=words):
        lived(**part)
