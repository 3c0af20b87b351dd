"""The e-prop study: its protocol on a few trials, what counts as learned, and its table."""

import pytest
import torch

from metaplastic.studies.recurrent import eprop_evidence
from metaplastic.studies.recurrent.eprop_evidence import RULES, Learned, Scale, claims, scale_of, train
from metaplastic.studies.recurrent.eprop_evidence_figure import draw
from metaplastic.studies.study import Run, run_study


def run(tmp_path, scale="default"):
    return Run(tmp_path / "study", seeds=3, scale=scale, say=lambda _: None)


@pytest.fixture
def few(monkeypatch):
    """Looks of few trials."""
    for name, value in {"EVERY": 1, "SHOWN": 4, "SURE": 2}.items():
        monkeypatch.setattr(eprop_evidence, name, value)


def test_all_rules_start_alike_and_then_part(few, tmp_path):
    found = train(run(tmp_path), Scale(2, 2, 2))
    assert list(found) == list(RULES)
    whole = list(found.values())
    assert all(one.updates.tolist() == [0, 1, 2] for one in whole)
    assert all(torch.equal(one.rate[0], whole[0].rate[0]) for one in whole)
    assert all(not torch.equal(one.rate[2], whole[0].rate[2]) for one in whole[1:])
    assert [one.alignment is None for one in whole] == [True, True, False, False]
    assert all(one.last.isfinite().all() for one in whole)


def test_a_rule_that_has_learned_stops(few, tmp_path, monkeypatch):
    monkeypatch.setattr(eprop_evidence, "LEARNED", 1.1)
    found = train(run(tmp_path), Scale(1, 2, 3))
    assert all(one.reached.tolist() == [1] for one in found.values())
    assert all(one.updates.tolist() == [0, 1] for one in found.values())


def test_the_published_protocol_is_that_of_full(tmp_path):
    assert scale_of(run(tmp_path, "full")) == Scale(3, 64, 2000)
    assert scale_of(run(tmp_path)) == Scale(1, 64, 600)
    assert {(rule.eta, rule.optimiser, rule.loss, rule.rate_weight) for rule in RULES.values()} == {
        (0.005, "adam", "cross_entropy", 2.0)
    }


def made(reached: list[int]) -> dict[str, Learned]:
    one = Learned(
        torch.tensor([0, 10]),
        torch.tensor([[0.5, 0.48], [0.04, 0.3]]),
        torch.tensor([[12.0, 13.0], [9.0, 10.0]]),
        torch.tensor([[0.0, 0.1], [0.4, 0.5]]),
        torch.tensor(reached),
        torch.tensor([0.05, 0.31]),
    )
    return dict.fromkeys(RULES, one)


def test_claims_need_the_error_in_time():
    late, never, soon = (claims(made(reached))[0] for reached in ([10, 601], [10, -1], [10, 600]))
    assert (late.within, never.within, soon.within) == (False, False, True)
    assert "1 of 2 networks; 10" in never.measured


def test_the_figure_has_a_curve_for_each_rule():
    (drawing,) = draw(made([10, -1]), 0.07)
    left, right = drawing.figure.axes
    assert len(left.lines) == len(RULES) + 1
    assert len(right.lines) == len(RULES) + 1


def test_the_study_writes_its_page(few, tmp_path, monkeypatch):
    monkeypatch.setattr(eprop_evidence, "scale_of", lambda _: Scale(1, 2, 1))
    result = run_study(eprop_evidence.EPropEvidence(), run(tmp_path))
    assert (tmp_path / "study" / "page.html").exists()
    assert set(result.numbers) == set(RULES)
