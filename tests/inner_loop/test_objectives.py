"""Objectives: every drive is minus the gradient of its cost."""

import pytest
import torch
from pydantic import ValidationError
from tiny_decisions import KEY, component, formula, plan

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.decision_life import born, decide, forward, learn
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import OBJECTIVES, Cost, terms_of

Y = rng.normals(KEY, 2, 3, 5).double()
MEAN = rng.normals(rng.fold(KEY, 1), 2, 3, 5).double()
NUMBERS = {"weight": torch.tensor(0.7), "target": torch.tensor(0.2), "rate": torch.tensor(0.1)}


COSTS = {
    "energy": (Y, lambda y: 0.7 * 0.5 * y.square().sum()),
    "homeostasis": (MEAN, lambda mean: 0.7 * 0.5 * (mean - 0.2).square().sum()),
    "sparse_activity": (Y, lambda y: 0.7 * y.abs().sum()),
    "sparse_rate": (
        MEAN.sigmoid(),
        lambda mean: 0.7 * (0.2 * (0.2 / mean).log() + 0.8 * (0.8 / (1 - mean)).log()).sum(),
    ),
}
"""kind -> what the neuron sees, and the weighted cost, written out a second time"""


@pytest.mark.parametrize("kind", COSTS)
def test_a_drive_is_minus_the_gradient_of_its_cost(kind):
    seen, cost = COSTS[kind]
    seen = seen.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(seen), [seen])
    given = {name: value.double() for name, value in NUMBERS.items()}
    found = OBJECTIVES[kind].drive(seen.detach(), seen.detach(), given)
    torch.testing.assert_close(found, -gradient, rtol=1e-6, atol=1e-8)


def test_every_cost_is_tested():
    assert {kind for kind, cls in OBJECTIVES.items() if issubclass(cls, Cost)} == COSTS.keys()


def changes(objective, update: str):
    """How the weights of two individuals change in one decision."""
    one = plan(formula(update), Feedforward(units=5), objective=objective, individuals=2, dtype=torch.float64)
    before = born(one)
    layers = forward(one, before.weights, one.decisions.observation[0])
    after = learn(one, before, layers, decide(one, before, layers[-1].post, 0, True), 0)
    return [new - old for new, old in zip(after.weights, before.weights, strict=True)], layers


def test_a_mixture_adds_its_terms_and_each_individual_weighs_them_itself():
    mixture = component(
        OBJECTIVES,
        {"kind": "mixture", "terms": [{"kind": "reward", "weight": 3}, {"kind": "energy"}, {"kind": "energy"}]},
    )
    terms = list(terms_of(mixture))
    terms[2] = terms[2].model_copy(update={"weight": Values(torch.tensor([0.5, 2.0]))})
    mixture = mixture.model_copy(update={"terms": tuple(terms)})
    (hidden, output), layers = changes(mixture, "drive")
    expected = -torch.tensor([1.5, 3.0]).double()[:, None] * layers[0].post[:, 0]
    torch.testing.assert_close(hidden[:, 0, :, 0], expected, rtol=1e-10, atol=1e-14)
    assert (output == 0).all()
    (hidden, _), _ = changes(mixture, "reward")
    assert set(hidden.unique().tolist()) <= {0.0, 3.0}


def test_a_mixture_without_reward_is_rewarded_by_nothing():
    (hidden, output), _ = changes({"kind": "mixture", "terms": [{"kind": "energy"}]}, "reward")
    assert (hidden == 0).all()
    assert (output == 0).all()


def test_a_mixture_of_nothing_and_of_unknown_things_is_refused():
    with pytest.raises(ValidationError, match="terms is empty"):
        component(OBJECTIVES, {"kind": "mixture", "terms": []})
    with pytest.raises(ValidationError, match="did you mean 'energy'"):
        component(OBJECTIVES, {"kind": "mixture", "terms": [{"kind": "enrgy"}]})
