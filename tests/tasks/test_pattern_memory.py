"""Pattern memory: trials step by step, the cue's hole, the score, and the ideal observer by brute force."""

import itertools
import math

import pytest
import torch
from one_graph import check_one_graph
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.association.pattern_memory import PatternMemory, ideal_score
from metaplastic.tasks.registry import make

SMALL = {"bits": 10, "patterns": 3, "cycles": 2, "show": 3, "blank": 2, "test": 4, "gain": 2.5}


def test_a_trial_shows_every_pattern_once_a_cycle_and_then_a_part_of_one():
    task = PatternMemory(**SMALL)
    batch = task.render(torch.arange(7), 1)
    assert batch.x.shape == (2 * 3 * 5 + 4, 7, 11)
    assert (batch.x[..., -1] == 2.5).all()
    shown = batch.x[:30, :, :-1].reshape(6, 5, 7, 10) / 2.5
    assert (shown[:, 3:] == 0).all()
    assert (shown[:, :3] == shown[:, :1]).all()
    first, second = shown[:3, 0], shown[3:, 0]
    assert (first.abs() == 1).all()
    assert (first.sum(-1) == 0).all()  # as many +1 as -1
    for lane in range(7):
        rows = [sorted(map(tuple, cycle[:, lane].tolist())) for cycle in (first, second)]
        assert rows[0] == rows[1]
        cue, whole = batch.x[-1, lane, :-1] / 2.5, batch.y[-1, lane]
        assert tuple(whole.tolist()) in rows[0]
        assert (cue == 0).sum() == 5
        assert torch.equal(cue[cue != 0], whole[cue != 0])
    assert torch.equal(batch.x[-4:], batch.x[-1:].expand(4, -1, -1))
    assert batch.w[:, 0].tolist() == [0.0] * 33 + [1.0]
    assert batch.epoch[:, 0].tolist() == ([0] * 3 + [1] * 2) * 6 + [2] * 4


def test_orders_cues_and_holes_come_each_alike():
    task = PatternMemory(bits=4, patterns=3, cycles=1, show=1, blank=0, test=1)
    drawn = task.drawn(torch.arange(6000), 0).values
    code = (drawn.order * torch.tensor([9, 3, 1])).sum(-1).bincount(minlength=27)
    assert chisquare(code[code > 0].numpy()).pvalue > 1e-4
    assert (code > 0).sum() == 6
    hole = drawn.pictures[:, 3, :4] == 0
    assert chisquare(hole.sum(0).numpy()).pvalue > 1e-4
    bits = ((drawn.pictures[:, 0, :4] > 0).long() * torch.tensor([8, 4, 2, 1])).sum(-1).bincount(minlength=16)
    assert (bits > 0).sum() == 6
    assert chisquare(bits[bits > 0].numpy()).pvalue > 1e-4


def test_the_score_is_the_part_of_right_signs_and_copying_the_cue_gets_three_quarters():
    task = PatternMemory(**{**SMALL, "bits": 12})
    batch = task.render(torch.arange(5), 0)
    copied = batch.x[..., :-1] / 2.5
    assert (task.judge(copied, batch).score == 0.75).all()
    output = 3 * batch.y.clone()
    output[:-1] = 7.0  # what comes before the last step counts nothing
    output[-1, :, :3] *= -1
    verdict = task.judge(output, batch)
    assert (verdict.score == 0.75).all()
    assert torch.allclose(verdict.reward, torch.full((5,), -(9 * 4 + 3 * 16) / 12))
    assert (verdict.correct == 0).all()


def brute_force(bits: int, kept: int, patterns: int) -> float:
    """Every set of patterns, every cue; the cue's places are the first ones, by symmetry."""
    every = [p for p in itertools.product((-1, 1), repeat=bits) if sum(p) == 0]
    total = 0.0
    for shown in itertools.product(every, repeat=patterns):
        agree = [p for p in shown if p[:kept] == shown[0][:kept]]
        for place in range(kept, bits):
            up = sum(p[place] > 0 for p in agree) / len(agree)
            guess = 0.5 if up == 0.5 else float((up > 0.5) == (shown[0][place] > 0))
            total += guess / (bits - kept)
    return (kept + (bits - kept) * total / len(every) ** patterns) / bits


@pytest.mark.parametrize("sizes", [(4, 2, 3), (6, 3, 2), (6, 4, 2), (4, 1, 4)])
def test_the_ideal_observer_is_that_of_every_case_counted(sizes):
    assert ideal_score(*sizes) == pytest.approx(brute_force(*sizes), abs=1e-12)


def test_who_remembers_everything_scores_the_ceiling():
    task = PatternMemory(bits=6, patterns=4, cycles=1, show=1, blank=0, test=1)
    lanes = 4000
    batch = task.render(torch.arange(lanes), 0)
    cue, seen = batch.x[-1, :, :6] / 20, batch.x[:4, :, :6] / 20
    agrees = ((seen == cue) | (cue == 0)).all(-1, keepdim=True)
    guess = (seen * agrees).sum(0).expand(5, -1, -1)
    score = task.judge(guess, batch).score
    assert abs(score.mean() - task.spec.ceiling) < 4 * score.std() / math.sqrt(lanes)
    assert 0.8 < task.spec.ceiling < 0.99 < task.spec.oracle


def test_the_published_task_has_five_patterns_of_a_thousand_bits_and_106_steps():
    task = make("PatternMemory-v0", preset="miconi18")
    assert isinstance(task, PatternMemory)
    assert (task.bits, task.patterns, task.cycles, task.kept, task.gain) == (1000, 5, 2, 500, 20.0)
    assert (task.spec.trial_steps, task.spec.criterion) == (106, 0.98)
    images = make("PatternMemory-v0", preset="miconi18_images")
    assert (images.spec.trial_steps, images.spec.actions) == (3 * 3 * 22 + 3, 1024)


def test_textures_have_zero_mean_and_largest_value_1_and_lose_one_half():
    task = PatternMemory(content="textures", bits=36, patterns=2)
    drawn = task.drawn(torch.arange(9), 0).values
    images = drawn.pictures[:, :2, :-1] / task.gain
    assert images.mean(-1).abs().max() < 1e-6
    assert torch.allclose(images.abs().amax(-1), torch.ones(9, 2))
    assert not torch.allclose(images[:, 0], images[:, 1])
    lost = drawn.pictures[:, 2, :-1].reshape(9, 6, 6).abs().sum(-1) == 0
    halves = {tuple(rows) for rows in lost.tolist()}
    assert halves == {(True,) * 3 + (False,) * 3, (False,) * 3 + (True,) * 3}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": 7}, ["bits is 7", "even", "use 8"]),
        ({"content": "textures", "bits": 50}, ["bits is 50", "square", "use 49"]),
        ({"content": "texture"}, ["did you mean 'textures'?"]),
        ({"degraded": 1.0}, ["degraded"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("PatternMemory-v0", **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(("PatternMemory-v0", SMALL), ("PatternMemory-v0", {"content": "textures", "bits": 16}))
