"""The study of credit assignment: its bench against autograd, rules of one's own, and all of it at a tiny size."""

from typing import Literal

import numpy as np
import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.studies.analysis.credit import credit, flat
from metaplastic.studies.credit import contestants as named
from metaplastic.studies.credit import credit_assignment as study
from metaplastic.studies.credit.bench import (
    Bench,
    Material,
    birth,
    cost_of,
    descents,
    digits,
    draw,
    learn,
    lesson,
    rates_of,
)
from metaplastic.studies.credit.credit_table import claims
from metaplastic.studies.registry import study as study_named
from metaplastic.studies.study import Run, read_result, run_study

FEW = Material(*(part[:60] for part in digits()))
BENCH = Bench(Feedforward(units=6, layers=2, activation="tanh"), FEW, 3, rng.root(5))
ALL = {one.short: one for one in named.contestants()}


class Uphill(LayeredRule):
    """Learns the wrong way."""

    follows_error = True
    kind: Literal["uphill"] = "uphill"
    eta: float = 0.1

    def change(self, net, state, lesson):
        signal = lesson.top_error
        changes = []
        for k in reversed(range(len(net.weights))):
            changes.insert(0, self.eta * signal.mT @ lesson.layers[k].pre / lesson.x.shape[2])
            if k:
                signal = (signal @ net.carriers(k)) * lesson.layers[k - 1].gate
        return tuple(changes), state


def test_the_gradient_of_the_bench_is_the_mean_of_backpropagation_over_all_images():
    one = ALL["BP"]
    brains = birth(BENCH, one)
    x, target = (part.expand(1, 3, *part.shape) for part in BENCH.material)
    told = lesson(one, brains, BENCH.material, torch.arange(3), 4, rates_of(one))
    layers = brains.net.forward(x)
    told = told._replace(x=x, target=target, layers=layers, top_error=layers[-1].post - target)
    change = flat(one.rule.change(brains.net, {}, told)[0])[0] / one.rule.eta
    torch.testing.assert_close(
        change.double(), descents(one, brains, BENCH.material)["squared error"], rtol=1e-4, atol=1e-6
    )


def test_the_gradients_are_those_of_their_costs():
    one = ALL["BP"]
    brains = birth(BENCH, one)
    way = torch.nn.functional.normalize(rng.normals(rng.root(8), *brains.weights.shape).double(), dim=-1)
    for name, d in descents(one, brains, BENCH.material).items():
        if name == named.VALUE:  # its policy is held fixed, which a difference does not
            continue
        cost = cost_of(brains.net, BENCH.material, name)
        slope = (cost(brains.weights + 1e-5 * way) - cost(brains.weights - 1e-5 * way)) / 2e-5
        torch.testing.assert_close(slope, -(d * way).sum(-1), rtol=1e-4, atol=1e-7)


def test_draws_are_of_the_rule_and_do_not_depend_on_the_other_seeds():
    one = ALL["NP"]
    whole = draw(BENCH, one, birth(BENCH, one), 0, most=300, kept=2)
    fewer = BENCH._replace(seeds=2)
    alone = draw(fewer, one, birth(fewer, one), 0, most=300, kept=2)
    torch.testing.assert_close(whole.single[:2], alone.single, rtol=1e-4, atol=1e-6)
    assert not torch.equal(whole.single[:, 0], whole.single[:, 1])
    assert not torch.equal(draw(BENCH, one, birth(BENCH, one), 1, most=300, kept=2).single, whole.single)


def test_exact_rules_have_no_bias_and_the_wrong_way_is_minus_one():
    for short, wanted in (("BP", 1.0), ("PZ", 1.0)):
        one = ALL[short]
        brains = birth(BENCH, one)
        found = credit(
            draw(BENCH, one, brains, 0, 1000, 2).whole, descents(one, brains, BENCH.material)["squared error"]
        )
        assert found.cosine.numpy() == pytest.approx(wanted, abs=0.05)
    one = named.Contestant("UP", "uphill", named.OTHER, Uphill())
    brains = birth(BENCH, one)
    found = credit(draw(BENCH, one, brains, 0, 1000, 2).whole, descents(one, brains, BENCH.material)["squared error"])
    assert found.cosine.numpy() == pytest.approx(-1, abs=0.06)
    assert bool((found.samples == torch.inf).all())


def test_learning_follows_the_rate_of_each_individual():
    one = ALL["BP"]
    both = learn(BENCH, one, birth(BENCH, one, 2), (0.0, 1.0), range(5), 3)
    start = flat(birth(BENCH, one, 2).net.weights)
    after = flat(both.brains.net.weights)
    assert torch.equal(after[0], start[0])
    assert not torch.equal(after[1], start[1])
    assert float(both.length[0].max()) == 0
    assert bool(((after - start)[1].norm(dim=-1) <= both.length[1] * (1 + 1e-5)).all())


def test_every_layered_rule_of_the_library_takes_part_and_one_of_your_own_too(monkeypatch):
    kinds = {one.rule.kind for one in named.contestants()}
    layered = {kind for kind, cls in named.RULES.items() if issubclass(cls, LayeredRule)}
    assert kinds == layered
    assert len({one.short for one in ALL.values()}) == len(named.contestants())
    monkeypatch.setitem(named.RULES, "uphill", Uphill)
    mine = [one for one in named.contestants() if one.rule.kind == "uphill"]
    assert [(one.short, one.family, one.objective) for one in mine] == [("uphi", named.OTHER, "squared error")]


def test_the_whole_study_at_a_tiny_size(monkeypatch, tmp_path):
    few = [ALL[short] for short in ("BP", "PF")]
    quick_rest = ALL["EP"].rule.model_copy(update={"free_steps": 4, "nudged_steps": 2})
    few.append(ALL["EP"]._replace(rule=quick_rest))
    monkeypatch.setattr(study, "digits", lambda: FEW)
    monkeypatch.setattr(study, "contestants", lambda: few)
    monkeypatch.setattr(study, "NETWORK", Feedforward(units=6, layers=2, activation="tanh"))
    monkeypatch.setitem(study.SCALES, "quick", study.Scale(4, 100, 1))
    monkeypatch.setattr(study, "TRIED", (0.01, 0.1))
    said = []
    result = run_study(study_named("credit-assignment"), Run(tmp_path / "out", 2, scale="quick", say=said.append))
    assert len(said) == len(few)
    kept = read_result(tmp_path / "out")
    assert set(kept["numbers"]) == {one.short for one in few}
    assert len(kept["numbers"]["BP"]["moments"]) == 3
    by_what = {claim.what: claim for claim in result.claims}
    assert by_what["backpropagation: cosine to its gradient at birth"].within
    assert by_what["predictive coding, fixed: cosine from backpropagation's, same draws"].within
    assert any("(squared error at rest)" in what for what in by_what)
    assert all("(" in claim.what for claim in result.claims if claim.within is None)  # every row names an objective
    page = (tmp_path / "out" / "page.html").read_text()
    assert "Learning rules as points" in page
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"bias-variance.png", "aligned-parts.png"}


def course(short: str, cosines: tuple[float, float, float], noise: float) -> study.Course:
    """Of three seeds that are alike; what the table does not judge is 0."""
    names = [
        f"{n}_{what}" for n in ("single", "mean", "gradient") for what in ("predicted", "second_order", "realised")
    ]
    rest = dict.fromkeys([*names, "common_samples", "samples", "accuracy"], 0.0)
    moments = [{**rest, "cosine": c, "common_cosine": c, "noise": noise} for c in cosines]
    arrays = [{name: np.full(3, value) for name, value in moment.items()} for moment in moments]
    arrays = [{**moment, "layer_cosines": np.ones((3, 2))} for moment in arrays]
    return study.Course(ALL[short], 1.0, arrays, np.full(3, 0.5))


def test_the_table_refuses_a_biased_backpropagation_and_feedback_that_does_not_align():
    good = [course("BP", (1, 1, 1), 1), course("NP", (1, 1, 1), 100), course("WP", (1, 1, 1), 4e3)]
    assert all(claim.within is not False for claim in claims([*good, course("FA", (0.2, 0.6, 0.8), 2)]))
    refused = {
        claim.what.partition(":")[0]
        for claim in claims([course("BP", (0.9, 1, 1), 1), *good[1:], course("FA", (0.2, 0.2, 0.2), 2)])
        if claim.within is False
    }
    assert refused == {"backpropagation", "feedback alignment"}
    quiet = [good[0], course("NP", (1, 1, 1), 0.5), good[2]]
    assert any(claim.what.startswith("scatter") and claim.within is False for claim in claims(quiet))
