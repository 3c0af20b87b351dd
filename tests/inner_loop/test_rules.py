"""Every rule by name: by hand, by its authors' loop, by known laws, by gradient, and one brain at a time."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from driven_neurons import correlated, draw, driven, numbers
from pydantic import ValidationError

from metaplastic.core import Array, Choice, Connection, Gene, Granularity, Layout, Values
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.locality import locality
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.inner_loop.rules.transforms import keep_dale

P, L, POST, PRE = 3, 2, 5, 4
SHAPES = {"scalar": (P, L, 1, 1), "pre": (P, L, 1, PRE), "post": (P, L, POST, 1), "synapse": (P, L, POST, PRE)}
NAMED = [name for name, rule in RULES.items() if name != "formula" and issubclass(rule, LocalRule)]
LAYOUT = Layout((Connection("first", 2, 3, 1), Connection("here", POST, PRE, 3)))


def all_signals(seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: draw(*SHAPES[place], seed=seed + k) for k, (name, place) in enumerate(SIGNALS.items()) if name != "w"}


def expanded(rule: Any, like: torch.Tensor) -> dict[str, torch.Tensor]:
    """The rule's parameters for the layout's second connection, [P, 1, post, pre]."""
    return {name: LAYOUT.expand(value, 1, like)[:, None] for name, value in rule.parameter_values().items()}


def lived(rule: Any, w: torch.Tensor, signals: list[dict[str, torch.Tensor]], parameters: Any = None) -> torch.Tensor:
    """The weights after these steps and the trial's end."""
    program = rule.program()
    parameters = parameters or expanded(rule, w)
    traces = to_torch.start(program, w)
    for now in signals:
        w, traces = to_torch.step(program, parameters, w, traces, now)
    return to_torch.trial_end(program, parameters, w, traces, signals[-1])


def one(rule: Any, w: float, *steps: dict[str, float]) -> float:
    """A life of a single synapse."""
    signals = [{n: torch.full((1, 1, 1, 1), v, dtype=torch.float64) for n, v in step.items()} for step in steps]
    weights = torch.full((1, 1, 1, 1), w, dtype=torch.float64)
    parameters = numbers(rule)
    return lived(rule, weights, signals, parameters).item()


# by hand


def test_hebb_by_hand():
    assert one(RULES["hebbian"](eta=0.1), 1.0, {"pre": 2.0, "post": -0.5}) == pytest.approx(1.0 + 0.1 * 2 * -0.5)


def test_abcd_by_hand():
    rule = RULES["abcd"](eta=0.1, A=2, B=3, C=5, D=7)
    assert one(rule, 1.0, {"pre": 0.5, "post": -1.0}) == pytest.approx(1 + 0.1 * (2 * -0.5 + 3 * 0.5 + 5 * -1 + 7))


def test_oja_by_hand():
    assert one(RULES["oja"](eta=0.1), 0.5, {"pre": 2.0, "post": 3.0}) == pytest.approx(0.5 + 0.1 * (6 - 9 * 0.5))


def test_covariance_by_hand():
    rule = RULES["covariance"](eta=1, mean_decay=0.5)
    # means before: 0, 0 then 1, 0.5; products 2 * 1 and (0 - 1)(3 - 0.5)
    assert one(rule, 0.0, {"pre": 2.0, "post": 1.0}, {"pre": 0.0, "post": 3.0}) == pytest.approx(2.0 - 2.5)


def test_bcm_by_hand():
    rule = RULES["bcm"](eta=1, threshold_rate=0.5)
    # theta: 2, then 2 + 0.5 (1 - 2) = 1.5; changes 2 (2 - 2) 3 and 1 (1 - 1.5) 3
    assert one(rule, 0.0, {"pre": 3.0, "post": 2.0}, {"pre": 3.0, "post": 1.0}) == pytest.approx(-1.5)


def test_three_factors_by_hand():
    rule = RULES["three_factor"](eta=0.5, trace_decay=0.25)
    steps = [{"pre": 1.0, "post": 2.0, "rpe": 0.0}, {"pre": 3.0, "post": -1.0, "rpe": -4.0}]
    assert one(rule, 1.0, *steps) == pytest.approx(1 + 0.5 * -4 * (0.25 * 2 - 3))


def test_q_agrel_by_hand():
    rule = RULES["q_agrel"](eta=0.5)
    assert one(rule, 0.0, {"pre": 3.0, "feedback": -0.5, "rpe": 0.2}) == pytest.approx(0.5 * 0.2 * -0.5 * 3)


@pytest.mark.parametrize("limit", [1.0, 0.01])
def test_miconi_is_the_authors_loop(limit: float):
    """Their code in their signs: error E, dw = clip(-eta Ebar (E - Ebar) e)."""
    rates, x, error, expected = [0.3, -0.8, 0.5], [0.7, -0.2, 0.9], 0.6, 0.9
    e = mean = 0.0
    for r, v in zip(rates, x, strict=True):
        e += (r * (v - mean)) ** 3
        mean = 0.05 * mean + 0.95 * v
    wanted = max(-limit, min(limit, -2.0 * expected * (error - expected) * e))
    end = {"prediction": -expected, "rpe": -(error - expected)}
    steps = [{"pre": r, "potential": v, "settled": 1.0, **end} for r, v in zip(rates, x, strict=True)]
    assert one(RULES["miconi17"](eta=2, limit=limit), 0.5, *steps) == pytest.approx(0.5 + wanted, abs=1e-15)


def test_node_perturbation_keeps_a_perturbation_that_was_better_than_expected():
    rule = RULES["node_perturbation"](eta=1, limit=1)
    better = {"pre": 0.5, "noise": 0.2, "settled": 1.0, "prediction": -2.0, "rpe": 0.25}
    assert one(rule, 0.0, better) == pytest.approx(2 * 0.25 * 0.5 * 0.2)
    assert one(rule, 0.0, {**better, "settled": 0.0}) == 0
    assert one(rule, 0.0, {**better, "prediction": 2.0}) == pytest.approx(2 * 0.25 * 0.5 * 0.2)


# the contract, for every name


@pytest.mark.parametrize("name", NAMED)
def test_a_rule_is_its_published_self_by_default_and_can_be_written_down(name: str):
    rule = RULES[name]()
    assert rule.kind == name
    assert RULES[name].model_validate(rule.model_dump()) == rule
    assert rule.reads() <= SIGNALS.keys()
    assert set(rule.parameter_values()) == set(rule.program().parameters)
    assert all(math.isfinite(value) for value in rule.parameter_values().values())
    assert name == "fixed" or RULES[name].references


@pytest.mark.parametrize("name", NAMED)
def test_brains_do_not_touch_each_other(name: str):
    rule = RULES[name](weight_decay=0.1, weight_limit=1.5, normalise="row")
    w, signals = draw(P, L, POST, PRE, seed=40), [all_signals(k) for k in range(3)]
    whole = lived(rule, w, signals)
    for p, lifetime in [(0, 0), (2, 1)]:
        alone = [{n: v[p : p + 1, lifetime : lifetime + 1] for n, v in now.items()} for now in signals]
        assert torch.equal(lived(rule, w[p : p + 1, lifetime : lifetime + 1], alone)[0, 0], whole[p, lifetime])


@pytest.mark.parametrize("name", [name for name in NAMED if name != "fixed"])
def test_a_rule_moves_weights_and_with_eta_0_leaves_their_bits_alone(name: str):
    w, signals = draw(P, L, POST, PRE, seed=40), [all_signals(k) for k in range(3)]
    assert not torch.equal(lived(RULES[name](), w, signals), w)
    assert torch.equal(lived(RULES[name](eta=0), w, signals), w)


def test_fixed_weights_stay():
    w = draw(P, L, POST, PRE)
    assert torch.equal(lived(RULES["fixed"](), w, [all_signals()]), w)


@pytest.mark.parametrize("name", NAMED)
def test_masks_and_bounds_hold(name: str):
    rule = RULES[name](weight_limit=0.4)
    program, w = rule.program(), draw(P, L, POST, PRE, seed=40)
    mask = (draw(P, 1, POST, PRE, seed=2) > 0).double()
    w = w.clamp(-0.4, 0.4) * mask
    traces, parameters = to_torch.start(program, w), expanded(rule, w)
    for k in range(20):
        now = {name: 5 * value for name, value in all_signals(k).items()}
        w, traces = to_torch.step(program, parameters, w, traces, now, mask)
        w = to_torch.trial_end(program, parameters, w, traces, now, mask)
    assert torch.equal(w * mask, w)
    assert w.abs().max() <= 0.4


@pytest.mark.parametrize("name", ["abcd", "bcm", "three_factor", "covariance", "oja", "q_agrel", "node_perturbation"])
def test_a_lifetime_has_the_gradient_that_finite_differences_find(name: str):
    rule = RULES[name](eta=0.3, **({"limit": 5.0} if name == "node_perturbation" else {}))
    names = list(rule.parameter_values())
    signals = [{n: v[:1, :1, :3, :2] for n, v in all_signals(k).items()} for k in range(2)]

    def life(w: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return lived(rule, w, signals, dict(zip(names, parameters, strict=True)))

    parameters = [torch.full((1, 1, 1, 1), float(v), dtype=torch.float64) for v in rule.parameter_values().values()]
    w = draw(1, 1, 3, 2)
    assert torch.autograd.gradcheck(life, [part.requires_grad_() for part in (w, *parameters)])


# granularities


@pytest.mark.parametrize("per", get_args(Granularity))
def test_coarse_coefficients_are_fine_ones_repeated(per: Granularity):
    w, signals = draw(P, L, POST, PRE, seed=40), [all_signals()]
    rule, data = RULES["abcd"](), {}
    for k, name in enumerate(("eta", "A", "B", "C", "D")):
        shape = () if per == "brain" else (LAYOUT.length(per),)
        data[name] = Values(draw(P, *shape, seed=k), per)
    coarse = rule.model_copy(update=data)
    fine = {}
    for name, value in data.items():
        full = [
            LAYOUT.expand(value, k, w).expand(P, c.post_count, c.pre_count) for k, c in enumerate(LAYOUT.connections)
        ]
        fine[name] = Values(torch.cat([block.flatten(1) for block in full], 1), "synapse")
    wanted = lived(rule.model_copy(update=fine), w, signals)
    torch.testing.assert_close(lived(coarse, w, signals), wanted, rtol=1e-13, atol=1e-13)
    a = {name: value.expand(P, L, POST, PRE) for name, value in expanded(coarse, w).items()}
    i, j = 4, 1  # by hand, at one synapse
    x, y = signals[0]["pre"][2, 1, 0, j], signals[0]["post"][2, 1, i, 0]
    at = {name: value[2, 1, i, j] for name, value in a.items()}
    by_hand = w[2, 1, i, j] + at["eta"] * (at["A"] * y * x + at["B"] * x + at["C"] * y + at["D"])
    assert wanted[2, 1, i, j].item() == pytest.approx(by_hand.item(), rel=1e-12)


@pytest.mark.parametrize("per", get_args(Granularity))
def test_a_decay_of_any_granularity_puts_the_memory_where_it_fits(per: Granularity):
    shape = () if per == "brain" else (LAYOUT.length(per),)
    decay = Values(draw(P, *shape).abs(), per)
    rule = RULES["bcm"](eta=0.1).model_copy(update={"threshold_rate": decay})
    fine = {"pre": "synapse", "type_pair": "synapse", "synapse": "synapse"}  # theta is the postsynaptic neuron's
    assert rule.program().traces[0].place == fine.get(per, "post")
    w, signals = draw(P, L, POST, PRE, seed=40), [all_signals(k) for k in range(3)]
    k = LAYOUT.expand(decay, 1, w)[:, None]
    theta, wanted = torch.zeros(P, L, 1, 1, dtype=torch.float64), w
    for now in signals:
        theta = theta + k * (now["post"] ** 2 - theta)
        wanted = wanted + 0.1 * now["post"] * (now["post"] - theta) * now["pre"]
    torch.testing.assert_close(lived(rule, w, signals), wanted, rtol=1e-12, atol=1e-12)


# known laws

START = 0.3 * draw(P, L, 1, PRE, seed=8)


def test_oja_converges_to_the_first_principal_component():
    x, components = correlated(4000, P, L)
    w = driven(RULES["oja"](eta=0.004), x, START)
    assert (torch.cosine_similarity(w[:, :, 0], components[0], dim=2).abs() > 0.995).all()
    torch.testing.assert_close(w.norm(dim=3), torch.ones(P, L, 1, dtype=torch.float64), rtol=0, atol=0.03)


def test_hebb_grows_along_the_first_principal_component_without_limit():
    x, components = correlated(2000, P, L)
    w = driven(RULES["hebbian"](eta=0.004), x, START)
    assert (torch.cosine_similarity(w[:, :, 0], components[0], dim=2).abs() > 0.99).all()
    assert (w.norm(dim=3) > 100).all()


def test_bcm_becomes_selective_for_one_of_two_patterns():
    patterns = torch.tensor([[1.0, 0.2, 0.0, 0.3], [0.1, 0.9, 0.4, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    x = patterns[torch.randint(2, (6000, P, L), generator=generator)][:, :, :, None]
    w = driven(RULES["bcm"](eta=0.005, threshold_rate=0.05), x, START)
    responses = (w @ patterns.T)[:, :, 0].sort(dim=2).values
    torch.testing.assert_close(responses.mean((0, 1)), torch.tensor([0.0, 2.0], dtype=torch.float64), rtol=0, atol=0.25)


def test_covariance_does_not_drift_for_independent_neurons():
    generator = torch.Generator().manual_seed(2)
    rule = RULES["covariance"](eta=1.0, mean_decay=0.95)
    program, w = rule.program(), torch.zeros(8, 4, 3, 2, dtype=torch.float64)
    parameters = numbers(rule)
    traces = to_torch.start(program, w)
    settled = w
    for step in range(500):
        pre = 1 + torch.randn(8, 4, 1, 2, dtype=torch.float64, generator=generator)
        post = 2 + torch.randn(8, 4, 3, 1, dtype=torch.float64, generator=generator)
        w, traces = to_torch.step(program, parameters, w, traces, {"pre": pre, "post": post})
        settled = w if step == 99 else settled  # the means began at 0
    drift = w - settled  # of 400 products of deviation 1: deviation 20, and of the mean of 192 of them 1.5
    assert drift.mean().abs() < 6
    assert 15 < drift.std() < 25


def test_without_noise_node_perturbation_learns_nothing():
    signals = all_signals()
    quiet = {**signals, "noise": torch.zeros_like(signals["noise"])}
    w = draw(P, L, POST, PRE)
    assert torch.equal(lived(RULES["node_perturbation"](), w, [quiet, quiet]), w)


# a user's formula


def test_a_formula_is_the_named_rule_it_writes():
    written = RULES["formula"](update="eta * (post*pre - post**2 * w)", parameters={"eta": 0.002})
    w, signals = draw(P, L, POST, PRE), [all_signals(k) for k in range(3)]
    torch.testing.assert_close(lived(written, w, signals), lived(RULES["oja"](), w, signals), rtol=1e-14, atol=1e-14)


def test_a_norm_that_evolution_chooses_waits_for_its_choice():
    rule = RULES["hebbian"](normalise=Choice("max", "row"))
    assert rule.program().normalise == "none"
    assert rule.model_copy(update={"normalise": "row"}).program().normalise == "row"


def test_a_formula_with_genes_is_written_down_and_read_back():
    rule = RULES["formula"](
        update="eta * e * k",
        traces={"e": "0.9 * e + post * pre"},
        parameters={"eta": Gene(1e-4, 0.1, log=True, per="post"), "k": Array(file="a.safetensors", name="k")},
        locality=("pre", "post", "synapse_state"),
    )
    assert RULES["formula"].model_validate(rule.model_dump()) == rule
    assert locality(rule.program()) == {"pre", "post", "synapse_state"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"update": "eta * prs", "parameters": {"eta": 1}}, "'eta \\* prs', place 7: prs: no such signal or parameter"),
        ({"update": "pre", "parameters": {"eta": 1}}, "parameter 'eta' is read by no formula"),
        ({"update": "pre * w", "locality": ["pre"]}, r"the rule also needs weight \(it reads w\)"),
        ({"update": "e", "traces": {"e": "e + pre +"}}, "trace e: 'e \\+ pre \\+', place 9: invalid syntax"),
        ({"update": "pre", "weight_limit": -1}, "is -1, wanted a number of at least 0"),
        ({"update": "k * pre", "parameters": {"k": "big"}}, "is 'big', wanted a number"),
        (
            {"update": "pre", "weight_limit": 1, "parameters": {"weight_limit": 2}},
            "parameter 'weight_limit' has the name of a field",
        ),
    ],
)
def test_a_wrong_formula_is_one_clear_message(fields: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message) as refusal:
        RULES["formula"](**fields)
    assert refusal.value.error_count() == 1


# transforms


def test_decay_and_bounds_follow_the_update():
    rule = RULES["hebbian"](eta=1, weight_decay=0.25, weight_limit=0.75)
    assert one(rule, 0.25, {"pre": 1.0, "post": 0.5}) == 0.75 * 0.75
    assert one(rule, 0.5, {"pre": 3.0, "post": 1.0}) == 0.75
    assert one(rule, 0.5, {"pre": -9.0, "post": 1.0}) == -0.75


def test_dales_law_takes_away_weights_of_the_wrong_sign():
    w = torch.tensor([[1.0, 1.0, -2.0], [-3.0, -0.5, 0.0]])
    assert keep_dale(w, torch.tensor([1.0, -1.0, 0.0])).tolist() == [[1.0, 0.0, -2.0], [0.0, -0.5, 0.0]]
