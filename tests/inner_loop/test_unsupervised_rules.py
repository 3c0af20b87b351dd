"""What unsupervised and homeostatic rules converge to (rules.md 7), in float64 and with the thresholds given there."""

from __future__ import annotations

import math

import pytest
import torch
from driven_neurons import correlated, draw, driven

from metaplastic.inner_loop.formula.grammar import FormulaError
from metaplastic.inner_loop.formula.locality import locality
from metaplastic.inner_loop.rules.library import RULES

P, L, K, PRE = 3, 2, 3, 5


@pytest.fixture(scope="module")
def learned() -> dict[str, torch.Tensor]:
    """Weights of K neurons after Sanger's and Oja's subspace rule, and the principal components, a row each.

    Five patterns come in turn, whose covariance has these components with deviations 2, 1.4, 1, 0.5 and 0.3.
    """
    components, turn = (torch.linalg.qr(draw(PRE, PRE, seed=seed)).Q for seed in (3, 9))
    deviations = torch.tensor([2.0, 1.4, 1.0, 0.5, 0.3], dtype=torch.float64)
    patterns = math.sqrt(PRE) * turn @ (deviations[:, None] * components)
    x = patterns[torch.arange(1000) % PRE][:, None, None, None].expand(-1, P, L, 1, PRE)
    found = {"components": components}
    for kind in ("sanger", "oja_subspace"):
        w = driven(RULES[kind](eta=0.05), x[:600], 0.3 * draw(P, L, K, PRE, seed=8))
        found[kind] = driven(RULES[kind](eta=0.005), x[600:], w)
    return found


def test_each_neuron_of_sanger_has_its_own_principal_component(learned):
    cosine = torch.cosine_similarity(learned["sanger"], learned["components"][:K], dim=-1).abs()
    assert (cosine > 0.999).all()
    gram = learned["sanger"] @ learned["sanger"].mT
    assert ((gram - torch.eye(K, dtype=gram.dtype)).abs().amax((-2, -1)) < 0.05).all()


def test_the_subspace_rule_spans_the_first_components_in_no_order(learned):
    w = learned["oja_subspace"]
    basis = torch.linalg.qr(w.mT).Q
    cosines = torch.linalg.svdvals(learned["components"][:K] @ basis)  # of the principal angles
    assert (cosines > 0.999).all()
    assert (torch.cosine_similarity(w, learned["components"][:K], dim=-1).abs() < 0.99).any()


@pytest.mark.parametrize("kind", ["sanger", "oja_subspace"])
def test_one_neuron_of_either_is_ojas(kind: str):
    x, _ = correlated(20, P, L, inputs=PRE)
    start = draw(P, L, 1, PRE)
    wanted = driven(RULES["oja"](eta=0.05), x, start)
    torch.testing.assert_close(driven(RULES[kind](eta=0.05), x, start), wanted, rtol=0, atol=1e-13)


def test_sanger_is_the_triangle_of_the_paper():
    x, start = draw(1, P, L, 1, PRE, seed=5), draw(P, L, K, PRE)
    y = start @ x[0].mT
    wanted = start + 0.1 * (y * x[0] - torch.tril(y @ y.mT) @ start)
    torch.testing.assert_close(driven(RULES["sanger"](eta=0.1), x, start), wanted, rtol=0, atol=1e-14)
    wanted = start + 0.1 * (y * x[0] - y @ y.mT @ start)
    torch.testing.assert_close(driven(RULES["oja_subspace"](eta=0.1), x, start), wanted, rtol=0, atol=1e-14)


def test_what_other_neurons_tell_is_declared():
    assert "nonlocal" in locality(RULES["sanger"]().program())
    assert "nonlocal" not in locality(RULES["oja"]().program())
    with pytest.raises(ValueError, match=r"the rule also needs nonlocal \(it reads explained\)"):
        RULES["formula"](update="post * (pre - explained)", locality=("pre", "post", "weight"))
    with pytest.raises((ValueError, FormulaError), match="update reads 'explained', but with writes: trial"):
        RULES["formula"](update="explained", writes="trial")


def test_scaling_brings_the_mean_to_its_target_and_keeps_ratios():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1500, P, L, 1, PRE, dtype=torch.float64, generator=generator)
    start, seen = 0.1 + draw(P, L, K, PRE).abs(), []
    rule = RULES["synaptic_scaling"](eta=0.05, target=0.5, mean_rate=0.02)
    w = driven(rule, x, start, seen=seen)
    mean = torch.stack(seen[-500:]).mean(0)
    torch.testing.assert_close(mean, torch.full_like(mean, 0.5), rtol=0.05, atol=0)
    ratio = w / start
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio), rtol=1e-10, atol=0)


def test_the_integral_reaches_the_target_against_a_steady_loss():
    x = torch.ones(500, 1, 1, 1, 2, dtype=torch.float64)
    start = torch.full((1, 1, 1, 2), 0.3, dtype=torch.float64)
    common = {"eta": 0.1, "target": 0.5, "mean_rate": 0.3, "weight_decay": 0.02}
    proportional = driven(RULES["synaptic_scaling"](**common), x, start).sum().item()
    # where it stays: w (1 + 0.1 (0.5 - y) / 0.5) 0.98 = w
    assert proportional == pytest.approx(0.5 - 0.5 * (1 / 0.98 - 1) / 0.1, abs=1e-9)
    exact = driven(RULES["synaptic_scaling"](**common, integral=0.05), x, start).sum().item()
    assert exact == pytest.approx(0.5, abs=1e-6)


def test_intrinsic_plasticity_is_trieschs_rule_for_gain_and_bias():
    """Three steps by hand: y = sigmoid(a x + b), x from the weights of birth."""
    eta, mu, a, b = 0.1, 0.2, 1.0, 0.0
    start = torch.tensor([[[[0.3, -0.7, 0.9]]]], dtype=torch.float64)
    inputs = [(0.5, -1.2), (1.4, 0.3), (-0.8, 0.6)]
    for u, v in inputs:
        x = 0.3 - 0.7 * u + 0.9 * v
        y = 1 / (1 + math.exp(-(a * x + b)))
        db = eta * (1 - (2 + 1 / mu) * y + y * y / mu)
        a, b = a + eta / a + x * db, b + db
    shown = torch.tensor([(1.0, *pair) for pair in inputs], dtype=torch.float64)[:, None, None, None]
    w = driven(RULES["intrinsic_plasticity"](eta=eta, mu=mu), shown, start, torch.sigmoid, has_bias=True)
    wanted = torch.tensor([a * 0.3 + b, a * -0.7, a * 0.9], dtype=torch.float64)
    torch.testing.assert_close(w.flatten(), wanted, rtol=1e-12, atol=0)


def test_intrinsic_plasticity_makes_activity_sparse_and_nearly_exponential():
    generator = torch.Generator().manual_seed(3)
    lives = 300
    x = torch.randn(1200, 1, lives, 1, 2, dtype=torch.float64, generator=generator)
    x[..., 0] = 1
    start, seen = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(1, lives, 1, 2), []
    rule = RULES["intrinsic_plasticity"](eta=0.02, mu=0.1)
    driven(rule, x, start, torch.sigmoid, has_bias=True, seen=seen)
    y = torch.stack(seen[-400:])
    assert y.mean().item() == pytest.approx(0.1, rel=0.05)
    # an exponential distribution has exp(-2) = .135 and exp(-4) = .018 there; what a sigmoid can do has a heavier tail
    assert (y > 0.2).double().mean().item() == pytest.approx(0.145, abs=0.005)
    assert (y > 0.4).double().mean().item() == pytest.approx(0.033, abs=0.003)
