"""The twenty tasks of Yang et al. 2019: their tables, trials by hand, laws of chance and of an ideal observer."""

import math
from types import SimpleNamespace

import pytest
import torch
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.epochs import When
from metaplastic.tasks.registry import make
from metaplastic.tasks.yang19.families import MatchFamily, Pair
from metaplastic.tasks.yang19.ring import Yang19, bump
from metaplastic.tasks.yang19.rules import NAMES
from metaplastic.tasks.yang19.tasks import YANG19, id_of
from metaplastic.tasks.yang19.values import energies, hit_by_guessing, stronger_at_once

LIVES = torch.arange(997)
MANY = torch.arange(20_000)
DEGREE = math.pi / 180

LENGTHS = {
    **dict.fromkeys(("go", "anti"), (1300, 2700)),  # ends of the uniform draws are floored to 20 ms
    **dict.fromkeys(("rtgo", "rtanti"), (1000, 3000)),
    **dict.fromkeys(("dlygo", "dlyanti"), (1200, 3400)),
    **dict.fromkeys(("dm1", "dm2", "ctxdm1", "ctxdm2", "multidm"), (1000, 2500)),
    **dict.fromkeys(("dlydm1", "dlydm2", "ctxdlydm1", "ctxdlydm2", "multidlydm"), (1400, 4200)),
    **dict.fromkeys(("dms", "dnms"), (1100, 3300)),
    **dict.fromkeys(("dmc", "dnmc"), (800, 3400)),
}
"""shortest and longest trial in ms, from the published table"""
GYM_LENGTHS = {"go": 1500, "rtgo": 1000, "dlyanti": 2000, "dms": 3200, "dnmc": 3200}
"""those of NeuroGym that are fixed"""


def yang(name: str, preset: str | None = None, **settings) -> Yang19:
    task = make(id_of(name), preset=preset, **settings)
    assert isinstance(task, Yang19)
    return task


def conditions(task: Yang19, lives: torch.Tensor = LIVES, trial: int = 0) -> SimpleNamespace:
    return SimpleNamespace(**task.conditions(lives, trial))


def p_value(counts: torch.Tensor, expected: torch.Tensor | float) -> float:
    expected = torch.as_tensor(expected, dtype=torch.float64).expand(counts.shape)
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((counts.numel() - 1) / 2.0).double(), statistic / 2))


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (torch.remainder(one - other + math.pi, 2 * math.pi) - math.pi).abs()


def test_there_are_twenty_and_each_says_what_it_is():
    assert len(YANG19) == 20 == len(set(NAMES))
    assert all(cls.__doc__ and cls.__doc__.endswith(".") for cls in YANG19.values())
    assert len({cls.__doc__ for cls in YANG19.values()}) == 20


@pytest.mark.parametrize("name", NAMES)
def test_trials_last_as_long_as_published(name):
    task = yang(name)
    fewest, most, _ = task.trial_length()
    low, high = LENGTHS[name]
    drawn = sum(task.timing[epoch].kind == "uniform" for epoch in task.timing)
    assert fewest * 20 == low
    assert high - 20 * drawn <= most * 20 <= high


@pytest.mark.parametrize(("name", "ms"), GYM_LENGTHS.items())
def test_the_neurogym_trials_last_as_long_as_there(name, ms):
    fewest, most, _ = yang(name, "neurogym").trial_length()
    assert fewest * 100 == most * 100 == ms


def test_published_sizes_and_noise():
    task = yang("ctxdm1", "yang19")
    assert (task.spec.observations, task.spec.actions, task.dt) == (85, 33, 20.0)
    assert task.sigma / math.sqrt(20) == pytest.approx(0.01 * math.sqrt(2 * 100 / 20))
    assert task.spec.channels == {"fixation": (0, 1), "ring1": (1, 33), "ring2": (33, 65), "rule": (65, 85)}


def test_the_neurogym_settings_are_those_of_its_code():
    dm, in_turn, go, dms = (yang(name, "neurogym") for name in ("dm2", "dlydm1", "rtgo", "dms"))
    assert (dm.spec.observations, dm.spec.actions, dm.dt, dm.sigma, go.sigma) == (33, 17, 100.0, 1.0, 0.0)
    assert (dm.rewards.correct, dm.rewards.error, dm.rewards.early, dm.early) == (1.0, 0.0, -0.1, "penalise")
    assert sorted(set(conditions(dm).strengths.flatten().tolist())) == pytest.approx(
        [0.0, 0.18, 0.34, 0.42, 0.46, 0.54, 0.58, 0.66, 0.82]
    )
    pairs = {tuple(row) for row in conditions(in_turn).strengths[:, [0, 2]].mul(10).round().int().tolist()}
    assert pairs == {(3, 6), (6, 3), (3, 10), (10, 3), (6, 10), (10, 6)}
    assert {duration.written() for duration in dms.timing.values() if duration.is_fixed} == {300, 500, 1000, 900}


def test_a_bump_by_hand():
    assert bump(torch.tensor(0.0), 32)[:3].tolist() == pytest.approx(
        [0.8, 0.8 * math.exp(-0.125), 0.8 * math.exp(-0.5)]
    )
    assert bump(torch.tensor(31 * math.pi / 16), 32)[0].item() == pytest.approx(0.8 * math.exp(-0.125))


def test_a_trial_of_go_shows_fixation_until_the_cue_and_the_stimulus_until_the_end():
    task = yang("go", sigma=0.0)
    seen, drawn = task.render(LIVES[:7], 3), conditions(task, LIVES[:7], 3)
    for lane in range(7):
        length, x = int(seen.drawn.length[lane]), seen.x[:, lane]
        cue = length - 25
        assert x[:cue, 0].all()
        assert not x[cue:, 0].any()
        on = (x[:, 1:65].sum(-1) > 0).nonzero()[:, 0]
        assert on[-1] == length - 1
        assert 15 <= on[0] < 35
        assert 25 <= cue - on[0] < 75
        first = 1 + 32 * int(drawn.modality[lane])
        assert torch.equal(x[on[0], first : first + 32], bump(drawn.angle[lane], 32))
        assert x[:, 65:85].sum() == length == x[:, 65].sum()  # the rule of go is unit 0
        assert not x[length:].any()


@pytest.mark.parametrize("name", ["rtgo", "rtanti", "dms", "dnms", "dmc", "dnmc"])
def test_fixation_never_goes_off_where_the_stimulus_is_the_cue(name):
    task = yang(name, sigma=0.0)
    seen = task.render(LIVES[:13], 0)
    within = torch.arange(len(seen.w))[:, None] < seen.drawn.length
    assert torch.equal(seen.x[..., 0] == 1, within)
    comes = (seen.epoch[1:] == 5) & (seen.epoch[:-1] != 5)
    assert (seen.x[1:][comes] != seen.x[:-1][comes]).any(-1).all()


@pytest.mark.parametrize(("name", "away"), [("go", 0.0), ("anti", math.pi), ("dlygo", 0.0), ("rtanti", math.pi)])
def test_pro_and_anti(name, away):
    drawn = conditions(yang(name))
    assert distance(drawn.goal, drawn.angle).sub(away).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["dm1", "dm2", "ctxdm1", "ctxdlydm2", "multidm", "multidlydm"])
@pytest.mark.parametrize("preset", ["yang19", "neurogym"])
def test_the_stronger_one_in_what_counts_is_wanted(name, preset):
    task = yang(name, preset)
    drawn = conditions(task, LIVES, 2)
    in_1, in_2 = (drawn.strengths[:, k] - drawn.strengths[:, k + 2] for k in (0, 1))
    excess = {(1,): in_1, (2,): in_2, (1, 2): in_1 + in_2}[task.row.relevant]
    assert excess.abs().min() > 1e-3  # nothing is undecidable
    assert torch.equal(drawn.goal, torch.where(excess > 0, drawn.angle1, drawn.angle2))
    for modality, difference in ((1, in_1), (2, in_2)):
        assert (difference != 0).any() == (modality in task.row.shown)


def test_the_other_modality_says_nothing_about_the_answer():
    drawn = conditions(yang("ctxdm1"), MANY)
    signs = (drawn.strengths[:, 0] > drawn.strengths[:, 2]).long() * 2 + (
        drawn.strengths[:, 1] > drawn.strengths[:, 3]
    ).long()
    assert p_value(signs.bincount(minlength=4), len(MANY) / 4) > 1e-4


def test_multidm_splits_one_pair_of_strengths():
    drawn = conditions(yang("multidm"), MANY)
    both = (drawn.strengths[:, [0, 2]] + drawn.strengths[:, [1, 3]]) / 2
    half = (both[:, 0] - both[:, 1]).abs() / 2
    assert sorted(set(half.mul(1000).round().int().tolist())) == [10, 20, 40, 80]
    share = (drawn.strengths[:, [0, 2]] - drawn.strengths[:, [1, 3]]).abs() / both
    assert 0.2 - 1e-3 <= share.min() < 0.21
    assert 0.79 < share.max() <= 0.8 + 1e-3


def test_easy_comparisons_differ_ten_times_or_twice_as_much():
    for name, wanted in (("ctxdm2", [100, 200, 400, 800]), ("dlydm1", [160, 320, 640])):
        drawn = conditions(yang(name, easy=True))
        first = 1 if name == "ctxdm2" else 0
        half = (drawn.strengths[:, first] - drawn.strengths[:, first + 2]).abs() / 2
        assert sorted(set(half.mul(1000).round().int().tolist())) == wanted


@pytest.mark.parametrize("name", ["dms", "dnms", "dmc", "dnmc"])
@pytest.mark.parametrize("preset", ["yang19", "neurogym"])
def test_matches_are_what_they_are_called(name, preset):
    task = yang(name, preset)
    drawn = conditions(task)
    same = distance(drawn.angle1, drawn.angle2) < 1e-5
    if "c" in name:
        same = (drawn.angle1 < math.pi - 1e-5) == (drawn.angle2 < math.pi - 1e-5)
    assert torch.equal(same, drawn.matches)
    assert torch.equal(drawn.goes, drawn.matches ^ name.startswith("dn"))
    assert torch.equal(drawn.goal, drawn.angle2)


def test_conditions_are_drawn_as_published():
    go, dm, dms, dmc = (conditions(yang(name), MANY) for name in ("go", "dm1", "dms", "dmc"))
    eighth = len(MANY) / 8
    assert p_value((go.angle * 4 / math.pi).long().bincount(minlength=8), eighth) > 1e-4
    assert p_value(go.modality.bincount(minlength=2), len(MANY) / 2) > 1e-4
    signed = dm.kind * 2 + (dm.strengths[:, 0] > dm.strengths[:, 2]).long()
    assert p_value(signed.bincount(minlength=8), eighth) > 1e-4
    gap = torch.remainder(dm.angle2 - dm.angle1, 2 * math.pi)
    assert p_value(((gap - math.pi / 2) * 8 / math.pi).long().bincount(minlength=8), eighth) > 1e-4
    four = dms.modality1 * 4 + dms.modality2 * 2 + dms.matches
    assert p_value(four.bincount(minlength=8), eighth) > 1e-4
    away = distance(dms.angle1, dms.angle2)[~dms.matches]
    assert away.min() > math.pi / 9 - 1e-5
    assert away.min() < math.pi / 9 + 0.01
    tenths = (dmc.angle1 * 5 / math.pi).long() * 10 + (dmc.angle2 * 5 / math.pi).long()
    assert p_value(tenths.bincount(minlength=100), len(MANY) / 100) > 1e-4
    assert (dmc.angle1 * 10 / math.pi).frac().sub(0.5).abs().min() > 0.4  # odd tenths of pi


def test_an_answer_is_right_within_36_degrees():
    task = yang("dm1")
    lanes = torch.zeros(5)
    goal = torch.tensor([0.0, 0.0, 0.0, 350 * DEGREE, 8 * DEGREE])
    scene = Pair(lanes, lanes, torch.zeros(5, 4), goal)
    action = torch.tensor([1 + 3, 1 + 4, 1 + 29, 1 + 2, 1 + 29])  # 33.75, 45, -33.75, 22.5 and -33.75 degrees
    now = When(action, action, action, (action,))
    verdict = task.answer(scene, action, now)
    assert verdict.correct.tolist() == [1, 0, 1, 1, 0]
    assert task.label(scene).tolist() == [1, 1, 1, 32, 2]  # 350 degrees: unit 31 at 348.75; 8 degrees: unit 1 at 11.25


@pytest.mark.parametrize("name", ["dms", "dnmc"])
def test_keeping_fixation_is_credited_where_it_is_right(name):
    task = yang(name)
    seen, drawn = task.render(LIVES, 0), conditions(task)
    still = task.judge(one_hot(torch.zeros_like(seen.epoch), 33), seen)
    assert torch.equal(still.correct == 1, ~drawn.goes)
    assert torch.equal(still.reward, torch.where(drawn.goes, -1.0, 1.0))


@pytest.mark.parametrize(
    ("units", "tolerance", "goals", "wanted"),
    [
        (32, 36.0, None, 0.2),
        (16, 36.0, tuple(22.5 * k for k in range(16)), 3 / 16),
        (16, 11.25, tuple(22.5 * k for k in range(16)), 1 / 16),
        (5, 36.0, (0.0, 36.0), (1 + 2) / 2 / 5),  # units at 0, 72, 144, ...: one near 0, two near 36
    ],
)
def test_chance_of_hitting_by_hand(units, tolerance, goals, wanted):
    assert hit_by_guessing(units, tolerance, goals) == pytest.approx(wanted)


def test_energies_of_bumps_are_those_of_gaussians():
    energy, overlaps, slope = energies(32)
    width = math.pi / 8
    gaussian = 0.64 * 32 / (2 * math.pi) * width * math.sqrt(math.pi)
    assert energy == pytest.approx(gaussian, rel=1e-4)
    assert float(overlaps[450]) == pytest.approx(gaussian * math.exp(-((math.pi / 4 / 2 / width) ** 2)), rel=1e-3)
    assert slope == pytest.approx(gaussian / (2 * width**2), rel=1e-3)


def test_the_ceiling_is_what_an_observer_of_the_rings_reaches():
    task = yang("dm1", "neurogym", coherences=(0.04,))
    lives, right = torch.arange(40_000), []
    seen, drawn = task.render(lives, 0), conditions(task, lives)
    ring = (seen.x[..., 1:17] * (seen.epoch == 1)[..., None]).sum(0).double()
    shapes = torch.stack([bump(angle, 16) for angle in (drawn.angle1, drawn.angle2)], -2).double()
    gram = shapes @ shapes.mT
    strengths = torch.linalg.solve(gram, (shapes @ ring[..., None]))[..., 0]
    right = ((strengths[:, 0] > strengths[:, 1]) == (drawn.strengths[:, 0] > drawn.strengths[:, 2])).double().mean()
    gaps = torch.arange(1, 16, dtype=torch.float64) * math.pi / 8
    wanted = stronger_at_once(16, 1.0, task.timing["stimulus"], 100.0, [0.04], gaps)
    assert abs(right - wanted) < 4 * 0.5 / 200
    assert 0.8 < wanted < 0.9


def test_chance_of_matches_counts_fixating_as_an_answer():
    task = yang("dms")
    assert isinstance(task, MatchFamily)
    assert task.answers() == tuple(range(33))
    assert task.spec.chance == pytest.approx(0.5 / 33 + 0.5 * 32 / 33 * 0.2)


def test_published_weights():
    task = yang("dlygo")
    seen = task.render(LIVES[:3], 0)
    w, length = seen.w[:, 0].tolist(), int(seen.drawn.length[0])
    cue = length - 25
    assert w[:length] == [0.0] * 5 + [1.0] * (cue - 5) + [0.0] * 5 + [5.0] * 20


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fdgo", "go"),
        ("reactgo", "rtgo"),
        ("delaygo", "dlygo"),
        ("contextdm1", "ctxdm1"),
        ("contextdelaydm2", "ctxdlydm2"),
        ("multidelaydm", "multidlydm"),
        ("dmsgo", "dms"),
        ("dmsnogo", "dnms"),
        ("dmcgo", "dmc"),
        ("dmcnogo", "dnmc"),
    ],
)
def test_older_names_are_understood(old, new):
    assert make(id_of(old)).kind == id_of(new)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("yang19.dm-v0"), ["'yang19.dm-v0'", "did you mean"]),
        (lambda: yang("go", units=16, tolerance=10), ["tolerance is 10", "at least 11.25", "16 units"]),
        (lambda: yang("dm1", easy=True, coherences=(0.1,)), ["times 10", "m - c"]),
        (lambda: yang("dlydm1", levels=(0.3,)), ["levels", "two different numbers"]),
        (lambda: yang("dm1", mean_strength=(1.0, 0.5)), ["mean_strength", "low <= high"]),
        (lambda: yang("go", timing={"stimulsu": 300}), ["timing.stimulsu", "did you mean 'stimulus'?"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_step_is_one_graph():
    # that of go, ctxdm1, dms and the readout is compiled with all tasks
    check_one_graph(("yang19.multidlydm-v0", {}), ("yang19.multidm-v0", {"preset": "neurogym"}))
