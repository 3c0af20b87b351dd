"""Families of rules that evolution searches: polynomials and small networks, against the rules they contain."""

from __future__ import annotations

import pytest
import torch
from driven_neurons import draw, driven, numbers

from metaplastic.core import ConfigError, Gene, Values
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.polynomial import ALL

P, L, POST, PRE = 2, 3, 5, 4


def change(rule, seed: int = 0) -> torch.Tensor:
    """What one step adds to weights [P, L, POST, PRE]."""
    w = draw(P, L, POST, PRE, seed=seed + 3)
    signals = {"pre": draw(P, L, 1, PRE, seed=seed), "post": draw(P, L, POST, 1, seed=seed + 1)}
    signals["rpe"] = draw(P, L, 1, 1, seed=seed + 2)
    return to_torch.step(rule.program(), numbers(rule), w, to_torch.start(rule.program(), w), signals)[0] - w


def polynomial(**settings):
    return RULES["polynomial"](**settings)


def test_setting_two_of_27_coefficients_gives_oja_and_one_gives_hebb():
    x, start = draw(20, P, L, 1, PRE), draw(P, L, POST, PRE, seed=1)
    zeros = dict.fromkeys(ALL, 0.0)
    for terms, kind in (({"110": 1.0, "021": -1.0}, "oja"), ({"110": 1.0}, "hebbian")):
        wanted = driven(RULES[kind](eta=0.1), x, start)
        for given in (terms, {**zeros, **terms}):
            found = driven(polynomial(eta=0.1, terms=given), x, start)
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_every_term_has_the_powers_of_its_name():
    w, x, y = (draw(P, L, POST, PRE, seed=3), draw(P, L, 1, PRE), draw(P, L, POST, 1, seed=1))
    theta = {name: 0.1 * k + 0.2 for k, name in enumerate(ALL)}
    naive = sum(value * x ** int(n[0]) * y ** int(n[1]) * w ** int(n[2]) for n, value in theta.items())
    torch.testing.assert_close(change(polynomial(eta=0.5, terms=theta)), 0.5 * naive, rtol=1e-11, atol=1e-11)


def test_a_fourth_factor_is_the_modulator():
    w, x, y = (draw(P, L, POST, PRE, seed=3), draw(P, L, 1, PRE), draw(P, L, POST, 1, seed=1))
    m = draw(P, L, 1, 1, seed=2)
    rule = polynomial(eta=1.0, terms={"110": 0.5, "0012": 2.0, "2000": 3.0}, modulator="rpe")
    torch.testing.assert_close(change(rule), 0.5 * x * y * m + 2 * w * m**2 + 3 * x**2 + 0 * w, rtol=1e-12, atol=1e-12)


def test_a_masked_term_is_not_there():
    both = polynomial(terms={"110": 1.0, "021": -1.0}, masks={"021": 0})
    torch.testing.assert_close(change(both), change(polynomial(terms={"110": 1.0})), rtol=0, atol=1e-15)


def test_one_gene_stands_for_all_terms_and_masks():
    rule = polynomial(terms={"gene": [-1, 1]}, masks={"gene": [0, 1]})
    assert list(rule.terms) == list(rule.masks) == list(ALL)
    assert rule.masks["021"] == Gene(0, 1, integer=True)
    assert RULES["polynomial"].model_validate(rule.model_dump()) == rule


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"terms": {"113": 1.0}}, "'113' is no term, wanted the powers of pre, post and w as in '021'"),
        ({"terms": {"1101": 1.0}}, "has a power of the modulator; say which one: modulator: rpe"),
        ({"terms": {"110": 1.0}, "masks": {"021": 1}}, "mask '021' is of no term; there are 110"),
    ],
)
def test_a_term_that_is_none_is_refused(settings: dict, message: str):
    with pytest.raises((ConfigError, ValueError), match=message):
        polynomial(**settings)


def test_coefficients_may_be_one_a_synapse():
    rule = polynomial(terms={"110": 1.0, "001": 0.0})
    per = {"110": Values(draw(P, POST * PRE), "synapse"), "001": Values(draw(P, POST, seed=4), "post")}
    rule = rule.model_copy(update={"terms": per})
    parameters = {
        "eta": torch.full((1, 1, 1, 1), 0.01, dtype=torch.float64),
        "theta_110": per["110"].data.reshape(P, 1, POST, PRE),
        "theta_001": per["001"].data.reshape(P, 1, POST, 1),
    }
    w, x, y = draw(P, L, POST, PRE, seed=3), draw(P, L, 1, PRE), draw(P, L, POST, 1, seed=1)
    found = to_torch.step(rule.program(), parameters, w, {}, {"pre": x, "post": y})[0]
    wanted = w + 0.01 * (parameters["theta_110"] * x * y + parameters["theta_001"] * w)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_a_planted_rule_is_found_again_by_least_squares_on_its_changes():
    """Oja's changes are linear in the 27 coefficients: two are not 0 and these are found."""
    rows, answers = [], []
    for seed in range(8):
        w, x, y = (
            draw(P, L, POST, PRE, seed=seed + 3),
            draw(P, L, 1, PRE, seed=seed),
            draw(P, L, POST, 1, seed=seed + 1),
        )
        rows.append(torch.stack([(x ** int(a) * y ** int(b) * w ** int(c)).flatten() for a, b, c in ALL], -1))
        answers.append(change(RULES["oja"](eta=1.0), seed).flatten())
    theta = torch.linalg.lstsq(torch.cat(rows), torch.cat(answers)).solution
    found = {name: round(value, 6) for name, value in zip(ALL, theta.tolist(), strict=True) if abs(value) > 0.05}
    assert found == {"110": 1.0, "021": -1.0}


@pytest.mark.slow
def test_a_planted_rule_is_found_again_by_the_gradient_through_lives():
    """27 coefficients from 0, told only how the weights of Oja's lives should have been at every step."""
    x, start = draw(8, P, L, 1, PRE, seed=2), draw(P, L, 3, PRE, seed=5)
    program = polynomial(terms=dict.fromkeys(ALL, 0.0)).program()

    def life(theta: torch.Tensor) -> torch.Tensor:
        w, seen = start, []
        parameters = {f"theta_{name}": value.reshape(1, 1, 1, 1) for name, value in zip(ALL, theta, strict=True)}
        parameters["eta"] = torch.full((1, 1, 1, 1), 0.1, dtype=torch.float64)
        for pre in x:
            signals = {"pre": pre, "post": (w * pre).sum(3, keepdim=True)}
            w, _ = to_torch.step(program, parameters, w, {}, signals)
            seen.append(w)
        return torch.stack(seen)

    planted = {"110": 1.0, "021": -1.0}
    wanted = life(torch.tensor([planted.get(name, 0.0) for name in ALL], dtype=torch.float64))
    theta = torch.zeros(27, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([theta], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-16)

    def error() -> torch.Tensor:
        descent.zero_grad()
        away = (life(theta) - wanted).square().sum()
        away.backward()
        return away

    descent.step(error)  # pyright: ignore[reportArgumentType]
    found = {name: round(value, 2) for name, value in zip(ALL, theta.tolist(), strict=True) if abs(value) > 0.05}
    assert found == planted


# the small network


def test_the_units_at_the_start_are_hebbs_rule():
    w = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    x, y = torch.linspace(-1, 1, 41).double().reshape(1, 1, 1, -1), torch.linspace(-1, 1, 41).double()[:, None]
    rule = RULES["mlp"](eta=1.0)
    found = to_torch.step(rule.program(), numbers(rule), w, {}, {"pre": x, "post": y[None, None]})[0]
    assert torch.cosine_similarity(found.flatten(), (x * y).flatten(), dim=0) > 0.999
    near = to_torch.step(rule.program(), numbers(rule), w, {}, {"pre": x / 10, "post": y[None, None] / 10})[0]
    torch.testing.assert_close(near, x * y / 100, rtol=0, atol=2e-5)


def test_synapses_share_the_network_so_that_permuting_them_permutes_the_changes():
    units = {"count": 3, "reads": ["pre", "post", "w", "rpe"], "gene": [-2, 2]}
    rule = RULES["mlp"](units=units, bounded=True)
    assert len(rule.units) == 3
    names = rule.program().parameters
    parameters = {name: torch.full((1, 1, 1, 1), 0.3 * k - 2, dtype=torch.float64) for k, name in enumerate(names)}
    w, order = draw(P, L, POST, PRE), torch.tensor([2, 0, 3, 1])
    signals = {"pre": draw(P, L, 1, PRE), "post": draw(P, L, POST, 1), "rpe": draw(P, L, 1, 1)}
    whole = to_torch.step(rule.program(), parameters, w, {}, signals)[0]
    mixed = {**signals, "pre": signals["pre"][..., order]}
    assert torch.equal(to_torch.step(rule.program(), parameters, w[..., order], {}, mixed)[0], whole[..., order])


def test_a_unit_by_hand():
    unit = {"gains": {"pre": 2.0, "w": -1.0, "e": 0.5}, "bias": 0.25, "out": 3.0}
    rule = RULES["mlp"](eta=0.1, units=[unit], bounded=True)
    w, x, y = torch.tensor(0.4), torch.tensor(0.3), torch.tensor(-0.7)
    wanted = w + 0.1 * torch.tanh(3 * torch.tanh(0.25 + 2 * x - w + 0.5 * x * y))
    one = {"pre": x.double().reshape(1, 1, 1, 1), "post": y.double().reshape(1, 1, 1, 1)}
    start = w.double().reshape(1, 1, 1, 1)
    traces = to_torch.start(rule.program(), start)
    found = to_torch.step(rule.program(), numbers(rule), start, traces, one)[0]
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_unit_that_reads_what_there_is_not_is_refused():
    with pytest.raises((ConfigError, ValueError), match="units: 'prs' is no signal"):
        RULES["mlp"](units=[{"gains": {"prs": 1.0}}])
    with pytest.raises((ConfigError, ValueError), match="wanted a list of units or"):
        RULES["mlp"](units={"count": 3})


# Dale's law


def test_dales_law_holds_for_each_presynaptic_neuron():
    rule = RULES["abcd"](eta=0.3)
    sign = torch.tensor([1.0, -1.0, 0.0, 1.0], dtype=torch.float64)
    rule = rule.model_copy(update={"dale": Values(sign.expand(P, -1), "pre")})
    parameters = {**numbers(RULES["abcd"](eta=0.3)), "dale": sign.expand(P, 1, 1, -1)}
    w = draw(P, L, POST, PRE)
    crossed = torch.zeros(4, dtype=torch.bool)
    for seed in range(50):
        signals = {"pre": draw(P, L, 1, PRE, seed=seed), "post": draw(P, L, POST, 1, seed=seed + 1)}
        free = w + 0.3 * signals["pre"] * signals["post"]
        w, _ = to_torch.step(rule.program(), parameters, w, {}, signals)
        assert (w * sign >= 0).all()
        torch.testing.assert_close(w, torch.where((free * sign < 0), 0.0, free), rtol=0, atol=1e-14)
        crossed |= (free * sign < 0).any(0).any(0).any(0)
    assert crossed.tolist() == [True, True, False, True]
