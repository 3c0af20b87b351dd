"""Policies by hand and by frequency; critics by hand."""

import pytest
import torch
from pydantic import ValidationError
from tiny_decisions import KEY, component

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.critics import CRITICS
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.policies import POLICIES

COUNT = 20_000
Q = torch.tensor([0.2, 1.0, -0.5, 1.0])
CHANCES = torch.softmax(Q / 0.5, 0)


def frequencies(given) -> torch.Tensor:
    """How often each of four actions is taken in 20,000 lifetimes."""
    policy = component(POLICIES, given)
    u0, u1 = rng.uniforms(KEY, 2, COUNT)
    named = {name: value[:, None] for name, value in numbers(policy, 1, torch.zeros(())).items()}
    action = type(policy).choose(Q.expand(1, COUNT, 4), u0, u1, named)
    return torch.bincount(action[0], minlength=4) / COUNT


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("greedy", torch.tensor([0.0, 1.0, 0.0, 0.0])),
        ({"kind": "epsilon_greedy", "epsilon": 0.4}, 0.1 + 0.6 * torch.tensor([0.0, 1.0, 0.0, 0.0])),
        ({"kind": "softmax", "temperature": 0.5}, CHANCES),
        (
            {"kind": "max_boltzmann", "epsilon": 0.4, "temperature": 0.5},
            0.4 * CHANCES + 0.6 * torch.tensor([0.0, 1.0, 0.0, 0.0]),
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_actions_are_as_frequent_as_the_policy_says(given, expected):
    deviation = (expected * (1 - expected) / COUNT).sqrt()
    assert ((frequencies(given) - expected).abs() <= 4 * deviation).all()


def test_the_coins_decide_by_hand():
    q = torch.tensor([[[0.0, 0.0, 0.0]]])

    def take(kind: str, u0: float, u1: float, **settings: float) -> int:
        named = {name: torch.tensor([[value]]) for name, value in settings.items()}
        return POLICIES[kind].choose(q, torch.tensor([u0]), torch.tensor([u1]), named).item()

    assert take("greedy", 0.9, 0.9) == 0
    assert take("epsilon_greedy", 0.29, 0.7, epsilon=0.3) == 2
    assert take("epsilon_greedy", 0.31, 0.7, epsilon=0.3) == 0
    assert take("softmax", 0.9, 0.34, temperature=1.0) == 1
    assert take("softmax", 0.9, 1 - 2**-24, temperature=1.0) == 2
    assert take("max_boltzmann", 0.29, 0.99, epsilon=0.3, temperature=1.0) == 2


def test_each_individual_explores_at_its_own_rate():
    policy = component(POLICIES, "epsilon_greedy").model_copy(update={"epsilon": Values(torch.tensor([0.0, 1.0]))})
    named = {name: value[:, None] for name, value in numbers(policy, 2, torch.zeros(())).items()}
    u0, u1 = rng.uniforms(KEY, 2, 50)
    action = type(policy).choose(Q.expand(2, 50, 4), u0, u1, named)
    assert (action[0] == 1).all()
    assert action[1].unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("action_value", 0.5),
        ("action_probability", 1 / (1 + 2 ** (-0.5 / 0.6931471805599453))),
        ("running_average", 0.25),
        ("zero", 0.0),
    ],
)
def test_predictions_by_hand(kind, expected):
    q = torch.tensor([[[0.0, 0.5]]], dtype=torch.float64)
    expectation = torch.tensor([[0.25]], dtype=torch.float64)
    prediction = CRITICS[kind].predict(q, torch.tensor([[1]]), expectation)
    assert prediction.item() == pytest.approx(expected, rel=1e-12)


def test_wrong_numbers_are_refused():
    with pytest.raises(ValidationError, match="in \\[0, 1\\]"):
        component(POLICIES, {"kind": "epsilon_greedy", "epsilon": 1.5})
    with pytest.raises(ValidationError, match="above 0"):
        component(POLICIES, {"kind": "softmax", "temperature": 0})
    with pytest.raises(ValidationError, match="in \\[0, 1\\]"):
        component(CRITICS, {"kind": "running_average", "decay": -0.1})
