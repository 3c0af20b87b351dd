"""Formulas as genomes: decoding, what is refused, how individuals with formulas of their own live, and their names."""

from __future__ import annotations

import pytest
import sympy
import torch
from driven_neurons import draw, driven, numbers
from tiny_trials import KEY, TinyTrials
from tiny_trials import live as live_trials

from metaplastic.core import ConfigError, Gene, Layout
from metaplastic.inner_loop.formula import cartesian, to_torch
from metaplastic.inner_loop.formula.grammar import parse
from metaplastic.inner_loop.formula.naming import likeness
from metaplastic.inner_loop.formula.to_text import formula_text
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.outer_loop.genome import Genome

INPUTS, FUNCTIONS = ("pre", "post", "w", "0.1", "1", "10"), ("add", "sub", "mul", "div", "square", "neg", "tanh")
P, L, POST, PRE = 2, 3, 5, 4


def evolved(text: str = "", **settings):
    """The rule whose wiring is this formula; all genes without one."""
    rule = RULES["evolved_formula"](functions=FUNCTIONS, **settings)
    if not text:
        return rule
    inputs = (*rule.inputs, *rule.numbers, *(f"{value:g}" for value in rule.constants))
    wiring = cartesian.encoded(parse(text, [*rule.inputs, *rule.numbers]), inputs, FUNCTIONS, rule.nodes)
    return RULES["evolved_formula"](functions=FUNCTIONS, wiring=wiring, **settings)


def test_a_genome_by_hand():
    # nodes at 6, 7, 8, 9: post * pre; post ** 2; (unread) tanh(w); node 7 * w
    genome = [2, 1, 0, 4, 1, 5, 6, 2, 2, 2, 7, 2, 9]
    post, w = sympy.symbols("post w")
    assert cartesian.decoded(genome, INPUTS, FUNCTIONS) == post**2 * w
    assert cartesian.active(genome, len(INPUTS), FUNCTIONS) == [1, 3]
    assert cartesian.decoded([*genome[:-1], 2], INPUTS, FUNCTIONS) == w
    assert cartesian.decoded([*genome[:-1], 3], INPUTS, FUNCTIONS) == sympy.Float(0.1)


def test_expressions_simplify_themselves():
    pre = sympy.Symbol("pre")
    assert cartesian.decoded([0, 0, 0, 1, 6, 0, 7], INPUTS, FUNCTIONS) == pre  # (pre + pre) - pre


@pytest.mark.parametrize(
    ("genome", "why"),
    [
        ([1, 0, 0, 3, 1, 6, 7], "post / (pre - pre)"),
        ([4, 0, 0, *(v for k in range(6, 12) for v in (4, k, k)), 12], "pre to the 128th"),
        ([2, 0, 1, 6, 6, 0, 7], None),
    ],
)
def test_what_is_no_formula_makes_a_life_that_fails(genome: list[int], why: str | None):
    expr = cartesian.decoded(genome, INPUTS, FUNCTIONS)
    assert (expr is None) == (why is not None)
    rule = RULES["evolved_formula"](functions=FUNCTIONS, nodes=(len(genome) - 1) // 3, wiring=genome)
    record = live_trials(RateRNN(units=4), rule)
    assert record.score.isnan().all() == (why is not None)


def test_a_formula_goes_to_a_genome_and_back_and_to_numbers():
    for text in ("post * pre", "post * (pre - post * w)", "tanh(pre + 0.1 * w) - 0.1 * post", "10 * pre"):
        rule, expr = evolved(text), parse(text, ["pre", "post", "w"])
        genome = cartesian.encoded(expr, INPUTS, FUNCTIONS, 12)
        assert len(genome) == len(cartesian.bounds(len(INPUTS), len(FUNCTIONS), 12)) == 37
        back = cartesian.decoded(genome, INPUTS, FUNCTIONS)
        assert sympy.expand(back - expr) == 0
        assert parse(formula_text(back), ["pre", "post", "w"]) == back
        w, x, y = draw(P, L, POST, PRE, seed=3), draw(P, L, 1, PRE), draw(P, L, POST, 1, seed=1)
        found = to_torch.step(rule.program(), numbers(rule), w, {}, {"pre": x, "post": y})[0]
        wanted = w + 0.01 * to_torch.torch_function(expr)({"pre": x, "post": y, "w": w})
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_the_product_of_two_inputs_is_abcd_with_a_alone():
    x, start = draw(20, P, L, 1, PRE), draw(P, L, POST, PRE, seed=1)
    product = driven(evolved("pre * post", eta=0.1), x, start)
    assert torch.equal(product, driven(RULES["abcd"](eta=0.1, A=1), x, start))


def test_an_expression_that_needs_what_there_is_not_is_refused():
    pre = sympy.Symbol("pre")
    with pytest.raises(ValueError, match="needs 3 nodes; there are 2"):
        cartesian.encoded(sympy.tanh(sympy.tanh(sympy.tanh(pre))), INPUTS, FUNCTIONS, 2)
    with pytest.raises(ValueError, match="needs the function tanh; there are add"):
        cartesian.encoded(sympy.tanh(pre), INPUTS, ("add",), 2)


# as a rule


def test_the_genome_of_an_experiment_has_one_whole_number_for_each_place():
    rule = evolved(nodes=4, inputs=("pre", "post"), constants=())
    assert rule.wiring[:3] == (Gene(0, 6, integer=True), Gene(0, 1, integer=True), Gene(0, 1, integer=True))
    genome = Genome(rule, lambda _: Layout(()))
    assert genome.length == 3 * 4 + 1
    assert genome.names()[0] == "wiring[0]"
    assert RULES["evolved_formula"].model_validate(rule.model_dump()) == rule
    assert rule.reads() == {"pre", "post"}


def test_individuals_of_one_wiring_live_together_and_others_apart():
    rule = evolved(nodes=2, numbers={"a": {"gene": [0, 1]}})
    genome = Genome(rule, lambda _: Layout(()))
    genomes = genome.start().expand(4, -1).clone()
    genomes[:, 0] = torch.tensor([0.2, 0.7, 0.6, 0.9])  # the coefficient
    genomes[:, -1] = 0.99  # the last node is the output
    genomes[2, 4] = 0.99  # another function of it
    groups = genome.express(genomes)
    assert [group.members.tolist() for group in groups] == [[0, 1, 3], [2]]
    assert all(isinstance(value, int) for group in groups for value in group.tree.wiring)
    assert groups[0].tree.numbers["a"].data.tolist() == pytest.approx([0.2, 0.7, 0.9])
    plain, _ = genome.individual(genomes[2])
    assert plain.wiring == groups[1].tree.wiring
    assert plain.expression() == groups[1].tree.expression()


def test_nodes_that_are_not_read_do_not_part_individuals():
    rule = RULES["evolved_formula"](nodes=3, functions=("add", "mul"), constants=())
    genome = Genome(rule, lambda _: Layout(()))
    wiring = [[1, 0, 1, 0, 3, 2, 0, 0, 0, 3], [1, 0, 1, 1, 2, 2, 1, 4, 3, 3], [0, 0, 1, 0, 3, 2, 0, 0, 0, 3]]
    limits = torch.tensor([gene.high + 1 for gene in rule.wiring], dtype=torch.float64)
    genomes = (torch.tensor(wiring, dtype=torch.float64) + 0.5) / limits
    groups = genome.express(genomes)
    assert [group.members.tolist() for group in groups] == [[0, 1], [2]]
    assert groups[0].tree.wiring == (1, 0, 1, 0, 3, 2, 0, 0, 0, 3)


def test_what_a_formula_does_not_read_is_not_asked_for():
    rule = evolved("pre * post", inputs=("pre", "post", "w", "e", "rpe"), traces={"e": "0.9 * e + post * pre"})
    assert rule.reads() == {"pre", "post"}
    assert rule.program().traces == ()
    assert set(rule.coefficients()) == {"eta"}
    other = evolved("rpe * e", inputs=("pre", "post", "w", "e", "rpe"), traces={"e": "0.9 * e + post * pre"})
    assert other.reads() == {"pre", "post", "rpe"}
    nothing = RULES["evolved_formula"](functions=("sub",), nodes=1, wiring=(0, 0, 0, 6))
    assert nothing.program().update == 0


def test_a_champion_is_a_plain_formula_to_every_backend():
    rule = evolved("post * (pre - post * w)", eta=0.05, weight_limit=0.8)
    written = rule.as_formula()
    assert written.kind == "formula"
    task = TinyTrials()
    one, other = (live_trials(RateRNN(units=5), each, task, backend="torch").score for each in (rule, written))
    assert torch.equal(one, other)
    assert KEY is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": ("pre", "pst")}, r"inputs has 'pst', which is none \(did you mean 'post'\?\)"),
        ({"functions": ("add", "mull")}, r"has 'mull', which is no function \(did you mean 'mul'\?\)"),
        ({"wiring": (1, 2)}, "has 2 numbers, wanted 37: 3 for each of 12 nodes and 1"),
        ({"wiring": (9, *[0] * 36)}, r"has 9 at place 0, wanted a number in \[0, 3\]"),
    ],
)
def test_what_makes_no_wiring_is_refused(settings: dict, message: str):
    with pytest.raises((ConfigError, ValueError), match=message):
        RULES["evolved_formula"](**settings)


# names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("3 * post * pre", "Hebb's rule times 3"),
        ("-0.2 * pre * post", "Hebb's rule times -0.2"),
        ("0.3 * post * (pre - post * w)", "Oja's rule times 0.3"),
        ("post * pre - 2 * post**2 * w", "Oja's rule with weights of length 1/sqrt(alpha) (alpha = 2)"),
        ("(post - 0.2) * (pre - 0.3)", "covariance about fixed means (a = 0.2, b = 0.3)"),
        ("2 * post * (post - 0.5) * pre", "BCM with a fixed threshold (theta = 0.5) times 2"),
        ("2 * post * pre + 3 * pre", "an ABCD rule (A = 2, B = 3, C = 0, D = 0)"),
        ("0.5 * post - 2", "an ABCD rule (A = 0, B = 0, C = 0.5, D = -2)"),
        ("0.5 * rpe * feedback * pre", "Q-AGREL times 0.5"),
        ("post * (pre - w)", "the instar rule"),
        ("0", "no change"),
        ("tanh(post) * pre", None),
        ("post * pre + post**2 * w", None),
    ],
)
def test_a_formula_has_the_name_that_the_field_gave_it(text: str, name: str | None):
    found = likeness(RULES["formula"](update=text).program())
    assert (str(found) if found else None) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("covariance", "the covariance rule (decay = 0.99) times 0.01"),
        ("bcm", "the BCM rule (rate = 0.1) times 0.001"),
        ("three_factor", "the three-factor rule (decay = 0.9) times 0.01"),
        ("sanger", "Sanger's rule times 0.002"),
        ("miconi17", None),
    ],
)
def test_a_rule_with_memories_is_known_by_them_too(kind: str, name: str | None):
    rule = RULES[kind]()
    found = likeness(rule.program(), {name: float(value) for name, value in rule.parameter_values().items()})
    assert (str(found) if found else None) == name


def test_coefficients_that_are_not_yet_known_stay_letters():
    assert str(likeness(RULES["oja"]().program())) == "Oja's rule times eta"
