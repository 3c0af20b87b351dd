"""The feedforward network: its layout, its births and what it refuses."""

import math

import pytest
import torch
from pydantic import ValidationError
from tiny_decisions import KEY, TinyTask

from metaplastic import rng
from metaplastic.core import Gene, Values
from metaplastic.inner_loop.networks.feedforward import Feedforward

SPEC = TinyTask(inputs=4, actions=3).spec
LIVES = rng.fold(rng.fold(KEY, rng.INIT), torch.arange(2))


def sizes(network: Feedforward) -> list[tuple[str, int, int]]:
    return [(group.name, group.post_count, group.pre_count) for group in network.layout(SPEC).connections]


def test_layers_follow_one_another_and_each_has_a_constant_neuron():
    assert sizes(Feedforward(units=5)) == [("hidden", 5, 5), ("output", 3, 6)]
    assert sizes(Feedforward(units=5, layers=2)) == [("hidden1", 5, 5), ("hidden2", 5, 6), ("output", 3, 6)]
    assert sizes(Feedforward(units=5, layers=0)) == [("output", 3, 5)]
    assert sizes(Feedforward(units=5, bias=False)) == [("hidden", 5, 4), ("output", 3, 5)]


def test_a_layout_is_as_large_as_the_gene_of_units_allows():
    assert sizes(Feedforward(units=Gene(2, 9))) == [("hidden", 9, 5), ("output", 3, 10)]
    expressed = Feedforward().model_copy(update={"units": Values(torch.tensor([2.0, 5.0]), "brain", 9)})
    assert sizes(expressed) == [("hidden", 9, 5), ("output", 3, 10)]


def test_a_missing_neuron_changes_no_other_synapse():
    def born(*units: float) -> torch.Tensor:
        network = Feedforward().model_copy(update={"units": Values(torch.tensor(units), "brain", 30)})
        brains = network.birth(SPEC, len(units), LIVES)
        return brains.weights[1].weights(brains.mask(1)) * (brains.units + 1.0).sqrt()[:, None, None, None]

    small, large = born(2.0), born(29.0)
    assert small.shape == (1, 2, 3, 9)
    assert large.shape == (1, 2, 3, 31)
    torch.testing.assert_close(small[..., :3], large[..., :3])
    assert (small[..., 3:] == 0).all()


def test_individuals_share_their_draws_and_have_gains_of_their_own():
    network = Feedforward(units=5).model_copy(update={"gain": Values(torch.tensor([1.0, 3.0]))})
    weights = [birth.weights(network.birth(SPEC, 2, LIVES).mask(k)) for k, birth in enumerate(born(network, 2).weights)]
    for w in weights:
        torch.testing.assert_close(3 * w[0], w[1])
        assert not torch.equal(w[0, 0], w[0, 1])


def born(network: Feedforward, individuals: int = 1):
    return network.birth(SPEC, individuals, LIVES, torch.float64)


@pytest.mark.parametrize("initial", ["normal", "uniform"])
def test_initial_weights_have_the_deviation_gain_over_root_fan_in(initial):
    network = Feedforward(units=900, gain=0.7, initial=initial)
    for w, fan_in in zip(born(network).weights, (5, 901), strict=True):
        numbers = w.draw * w.scale
        count = numbers.numel()
        assert abs(numbers.std().item() - 0.7 / math.sqrt(fan_in)) < 4 * 0.7 / math.sqrt(fan_in * count)
        assert abs(numbers.mean().item()) < 4 * 0.7 / math.sqrt(fan_in * count)
    bound = 0.7 * math.sqrt(3 / 5)
    assert (born(network).weights[0].draw * born(network).weights[0].scale).abs().max() < (
        bound if initial == "uniform" else 6 * bound
    )


def test_a_gain_may_be_one_a_connection_group():
    network = Feedforward(units=5).model_copy(update={"gain": Values(torch.tensor([[2.0, 4.0]]), "connection")})
    scales = [birth.scale.item() for birth in born(network).weights]
    assert scales == pytest.approx([2 / math.sqrt(5), 4 / math.sqrt(6)])


def test_innate_weights_replace_the_random_ones():
    network = Feedforward(units=2)
    length = network.layout(SPEC).length("synapse")
    innate = torch.arange(2.0 * length).reshape(2, length)
    network = network.model_copy(update={"initial_weights": Values(innate, "synapse")})
    brains = born(network, 2)
    hidden, output = (birth.weights(brains.mask(k)) for k, birth in enumerate(brains.weights))
    assert hidden.shape == (2, 1, 2, 5)
    assert hidden[1, 0].tolist() == innate[1, :10].reshape(2, 5).tolist()
    assert output[1, 0].tolist() == innate[1, 10:].reshape(3, 3).tolist()


def test_only_feedback_of_their_own_needs_further_weights():
    assert born(Feedforward(units=5)).feedback == ()
    (carrier,) = born(Feedforward(units=5, feedback="random", feedback_gain=0.5)).feedback
    assert carrier.draw.shape == (2, 3, 5)
    assert carrier.scale.item() == pytest.approx(0.5 / math.sqrt(6))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"units": 0}, "a whole number in \\[1, 4096\\]"),
        ({"activation": "tahn"}, "did you mean 'tanh'"),
        ({"layers": -1}, "greater than or equal to 0"),
        ({"feedbak": "random"}, "did you mean 'feedback'"),
    ],
)
def test_a_wrong_setting_is_refused(settings, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Feedforward(**settings)
