"""The 82 tasks of Khona et al. 2023: the table, goals that a delay shifts or time moves, and what is as published."""

import math

import pytest
import torch
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.contract.check import check_task
from metaplastic.tasks.modcog.modulation import Modulated
from metaplastic.tasks.modcog.tasks import MODCOG, NAMES, VARIANTS, id_of
from metaplastic.tasks.registry import make

LIVES = torch.arange(499)
UNIT = math.pi / 8


def modcog(name: str, **settings) -> Modulated:
    task = make(id_of(name), **settings)
    assert isinstance(task, Modulated)
    return task


def unit(angle: torch.Tensor) -> torch.Tensor:
    return (angle / UNIT).round().long() % 16


def delays(task: Modulated, lives: torch.Tensor = LIVES) -> torch.Tensor:
    """ms of each trial's delay."""
    start, end = task.epoch_bounds(lives, 0)[..., task.epochs.index("delay"), :].unbind(-1)
    return (end - start) * 100


def test_there_are_82_and_each_says_what_it_is():
    assert len(MODCOG) == 82 == len(set(NAMES))
    assert sum(variant.shifts != 0 for variant in VARIANTS) == 22
    assert sum(variant.moves != 0 for variant in VARIANTS) == 40
    meanings = {cls.__doc__ for cls in MODCOG.values()}
    assert len(meanings) == 82
    assert all(meaning and meaning.endswith(".") for meaning in meanings)


def test_sizes_are_those_of_neurogym_with_82_rules():
    for name in ("go", "dlydm1intl", "dnmcseqr"):
        spec = modcog(name).spec
        assert (spec.observations, spec.actions, spec.dt) == (33, 17, 100.0)
    seen = modcog("antiseqr", rule=True, sigma=0.0).render(LIVES[:3], 0).x
    assert seen.shape[-1] == 33 + 82
    assert seen[0, :, 33 + NAMES.index("antiseqr")].tolist() == [1, 1, 1]
    assert seen[0, :, 33:].sum() == 3


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("go", {"fixation": 500, "stimulus": 500, "decision": 500}),
        ("rtgoseql", {"fixation": 500, "decision": 1000}),
        ("dlyanti", {"fixation": 500, "stimulus": 500, "delay": 500, "decision": 500}),
        ("dlydm2seqr", {"stimulus": 500, "delay": 500, "second": 500, "wait": 0, "decision": 1000}),
        ("dnms", {"fixation": 300, "stimulus": 500, "second": 500, "decision": 900}),
    ],
)
def test_times_in_ms(name, epochs):
    timing = {epoch: duration.written() for epoch, duration in modcog(name).timing.items() if duration.is_fixed}
    assert timing == epochs


def test_delays_that_count_are_drawn_alike():
    lives = torch.arange(12_000)
    for name in ("dlygointr", "ctxdlydm2intl", "dmcintr"):
        counts = (delays(modcog(name), lives) // 100).bincount(minlength=12)
        assert len(counts) == 12
        assert ((counts - 1000) ** 2 / 1000).sum() < 37  # chi-square of 11 degrees, p > 1e-4
    drawn = delays(modcog("dms"), lives)
    assert (drawn.min(), drawn.max()) == (200, 1100)


@pytest.mark.parametrize(
    ("name", "sign", "turned"),
    [("dlygointr", 1, 0), ("dlygointl", -1, 0), ("dlyantiintr", 1, 8), ("dmsintl", -1, 0), ("dnmcintr", 1, 0)],
)
def test_a_delay_shifts_the_goal_by_one_unit_in_100_ms(name, sign, turned):
    task = modcog(name)
    drawn = task.conditions(LIVES, 0)
    place = drawn["angle2" if "angle2" in drawn else "angle"]
    assert torch.equal(unit(drawn["goal"]), (unit(place) + turned + sign * delays(task) // 100) % 16)


def test_a_comparison_wants_the_stronger_one_shifted():
    task, plain = modcog("dlydm1intr"), modcog("dlydm1")
    drawn, base = task.conditions(LIVES, 0), plain.conditions(LIVES, 0)
    assert torch.equal(drawn["strengths"], base["strengths"])
    assert torch.equal(unit(drawn["goal"]), (unit(base["goal"]) + delays(task) // 100) % 16)


@pytest.mark.parametrize(("name", "sign"), [("goseqr", 1), ("rtantiseql", -1), ("multidmseqr", 1), ("dmsseql", -1)])
def test_a_goal_moves_one_unit_a_step(name, sign):
    task = modcog(name)
    batch, drawn = task.render(LIVES, 0), task.conditions(LIVES, 0)
    wanted = batch.y.argmax(-1)
    goes = drawn.get("goes", torch.ones(len(LIVES), dtype=torch.bool))
    for t in range(10):
        step = (batch.drawn.length - 10 + t)[None]
        now = wanted.gather(0, step)[0]
        assert torch.equal(now, ((unit(drawn["goal"]) + sign * t) % 16 + 1) * goes)


def test_speed_is_in_units_of_the_ring_and_whole_units_count():
    task = modcog("goseqr", omega=0.004)
    ms = torch.tensor([0.0, 100.0, 200.0, 300.0, 500.0, 900.0])
    assert unit(task.moved(torch.zeros(6), 1, ms)).tolist() == [0, 0, 0, 1, 2, 3]
    assert unit(task.moved(torch.zeros(6), -1, ms)).tolist() == [0, 0, 0, 15, 14, 13]


def test_the_score_is_the_share_of_right_steps():
    task = modcog("goseqr")
    batch = task.render(LIVES[:5], 0)
    follows, stays = batch.y.argmax(-1), batch.y.argmax(-1).clone()
    stays[-10:] = stays[-10]
    early = follows.clone()
    early[:3] = 2
    for given, score, reward, correct in ((follows, 1, 1, 1), (stays, 0.1, 0.1, 0), (early, 1, 1 - 0.3, 1)):
        verdict = task.judge(one_hot(given, 17), batch)
        assert verdict.score.tolist() == pytest.approx([score] * 5)
        assert verdict.reward.tolist() == pytest.approx([reward] * 5)
        assert verdict.correct.tolist() == [correct] * 5
    aborts = modcog("goseqr", early="abort")
    verdict = aborts.judge(one_hot(early, 17), aborts.render(LIVES[:5], 0))
    assert verdict.reward.tolist() == pytest.approx([-0.1] * 5)
    assert not verdict.score.any()


def test_a_goal_that_is_not_to_be_gone_to_is_followed_by_fixating():
    task = modcog("dnmsseqr")
    batch, drawn = task.render(LIVES, 0), task.conditions(LIVES, 0)
    still = task.judge(one_hot(torch.zeros_like(batch.epoch), 17), batch)
    assert torch.equal(still.score == 1, ~drawn["goes"])
    assert not still.score[drawn["goes"]].any()


# ---- as published
def test_published_delays_turn_the_stimulus_of_the_go_family_the_other_way_in_radians():
    for name, sign, turned in (("dlygointr", 1, 0.0), ("dlyantiintl", -1, math.pi)):
        task = modcog(name, published_quirks=True)
        drawn = task.conditions(LIVES, 0)
        wanted = drawn["goal"] + turned + sign * 0.01 * delays(task)
        assert (torch.remainder(drawn["angle"] - wanted + math.pi, 2 * math.pi) - math.pi).abs().max() < 1e-4
        assert (drawn["goal"] / UNIT).frac().abs().max() < 1e-4


def test_published_times():
    for name, epoch, ours, published in (
        ("go", "delay", None, 500),
        ("dlygo", "delay", 500, 500),
        ("rtgo", "delay", None, None),
        ("rtgoseqr", "decision", 1000, 500),
        ("goseqr", "decision", 1000, 1000),
    ):
        plain, quirky = modcog(name).timing, modcog(name, published_quirks=True).timing
        assert [t[epoch].written() if epoch in t else None for t in (plain, quirky)] == [ours, published]
    assert set(delays(modcog("dlydm1intr", published_quirks=True)).tolist()) == {500}
    assert len(set(delays(modcog("dmsintr", published_quirks=True)).tolist())) == 12
    assert modcog("go", published_quirks=True, timing={"delay": 200}).timing["delay"].written() == 200


def test_published_the_last_unit_has_no_answer():
    task = modcog("anti", published_quirks=True)
    batch, drawn = task.render(LIVES, 0), task.conditions(LIVES, 0)
    last = unit(drawn["goal"]) == 15
    assert last.any()
    assert not batch.y[..., 1:].sum((0, 2))[last].any()
    assert not batch.y[..., 16].any()
    sixteen = one_hot(torch.full_like(batch.epoch, 16) * (batch.epoch == 5), 17)
    assert not task.judge(sixteen, batch).score.any()


def test_published_the_first_answer_is_judged_and_where_the_goal_is_then():
    task = modcog("goseqr", published_quirks=True)
    batch = task.render(LIVES, 0)
    wanted = batch.y.argmax(-1)
    for t in (-10, -7):
        once = torch.zeros_like(wanted)
        once[t] = wanted[t]
        there = wanted[t] > 0
        assert (task.judge(one_hot(once, 17), batch).score[there] == 1).all()
    late = torch.zeros_like(wanted)
    late[-7] = wanted[-10]
    assert not task.judge(one_hot(late, 17), batch).score[wanted[-10] > 0].any()


@pytest.mark.parametrize("name", ["dlyantiintl", "rtgoseqr", "dmcintr"])
def test_the_published_form_keeps_the_contract(name):
    check_task(modcog(name, published_quirks=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_keep_the_contract_as_published_and_with_aborts(name):
    check_task(modcog(name, published_quirks=True))
    check_task(modcog(name, early="abort"))


def test_a_step_is_one_graph():
    check_one_graph((id_of("dlygointr"), {}), (id_of("dmsseql"), {}))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("modcog.goseq-v0"), ["'modcog.goseq-v0'", "did you mean"]),
        (lambda: modcog("goseqr", hold=2), ["hold is 2", "wanted 1", "every step"]),
        (lambda: modcog("goseqr", omega=-1), ["omega", "greater than or equal to 0"]),
        (lambda: modcog("dmsintr", timing={"delay": 150}), ["timing.delay", "dt"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
