"""Finding the target among cues: what a trial shows, when it pays, and how fast it can be found."""

import itertools
from fractions import Fraction

import pytest
import torch
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.association import target_discovery
from metaplastic.tasks.association.target_discovery import TargetDiscovery
from metaplastic.tasks.registry import make

LIVES = 1200


def test_an_ideal_observer_needs_half_a_trial_then_a_third_of_the_doubt_each():
    found = target_discovery.discovery(4, 5)
    assert found == pytest.approx((1 / 2, 2 / 3, 8 / 9, 26 / 27, 80 / 81))


@pytest.mark.parametrize("cues", [2, 3, 5])
def test_the_ideal_observer_agrees_with_a_sum_over_all_trials(cues):
    trials, total = 3, [Fraction(0)] * 3
    pairs = list(itertools.combinations(range(cues), 2))
    for shown in itertools.product(pairs, repeat=trials):
        for target in range(cues):
            possible = set(range(cues))
            for n, pair in enumerate(shown):
                seen = possible & set(pair)
                says = 2 * len(seen) > len(possible)
                tie = 2 * len(seen) == len(possible)
                truth = target in pair
                right = Fraction(1, 2) if tie else Fraction(int(says == truth))
                total[n] += right / (len(pairs) ** trials * cues)
                possible = seen if truth else possible - set(pair)
    assert target_discovery.discovery(cues, trials) == pytest.approx([float(x) for x in total])


def test_a_trial_shows_two_different_cues_once_each_then_go_then_a_blank():
    task = TargetDiscovery(feedback=False, bits=6)
    state, now = task.reset(torch.arange(LIVES))
    world, cues = state.world, state.life.codes
    frames = []
    for _ in range(8):
        frames.append(now.observation)
        state, now = task.step(state, torch.zeros(LIVES, dtype=torch.int64))
    shown = torch.stack(frames)  # [8, L, 7]
    lengths, lanes = world.go + 2, torch.arange(LIVES)
    assert chisquare(lengths.bincount(minlength=9)[5:].numpy()).pvalue > 1e-4
    assert lengths.min() == 5
    assert lengths.max() == 8
    assert not shown[0].any()
    assert (world.first != world.second).all()
    assert torch.equal(shown[world.first_step, lanes, :6], cues[lanes, world.first])
    assert torch.equal(shown[world.second_step, lanes, :6], cues[lanes, world.second])
    within = torch.arange(8)[:, None] < lengths
    assert ((shown[..., :6].any(-1) & within).sum(0) == 2).all()
    assert torch.equal(shown[..., 6] * within, (torch.arange(8)[:, None] == world.go).float())
    pair = 4 * world.first + world.second
    assert chisquare(pair.bincount(minlength=16)[[n for n in range(16) if n % 5]].numpy()).pvalue > 1e-4


def test_places_of_the_cues_in_the_longest_trial_are_any_two():
    state, _ = TargetDiscovery().reset(torch.arange(6 * LIVES))
    world = state.world
    longest = world.go == 6
    place = 5 * (world.first_step - 1) + world.second_step - 1
    counts = place[longest].bincount(minlength=25)[[n for n in range(25) if n % 6]]
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_the_answer_at_go_is_paid_and_told_on_the_blank_step():
    task = TargetDiscovery()
    reward_at = task.spec.channels["previous_reward"][0]
    state, now = task.reset(torch.arange(LIVES))
    present = (state.world.first == 0) | (state.world.second == 0)
    go = state.world.go
    for step in range(5):
        state, now = task.step(state, torch.ones(LIVES, dtype=torch.int64))
        at = go == step
        assert torch.equal(now.reward[at], torch.where(present, 1.0, -1.0)[at])
        assert torch.equal(now.observation[at, reward_at], now.reward[at])
        assert (now.reward[step < go] == 0).all()
        ended = now.info.trial_end
        assert torch.equal(ended, go + 1 == step)
        assert torch.equal(now.info.score[ended], present[ended].float())


def test_cues_are_different_and_any_is_the_target():
    state, _ = TargetDiscovery(bits=2).reset(torch.arange(LIVES))
    number = ((state.life.codes > 0) * torch.tensor([1, 2])).sum(-1)
    assert torch.equal(number.sort(-1).values, torch.arange(4).expand(LIVES, 4))
    assert chisquare(number[:, 0].bincount().numpy()).pvalue > 1e-4


def test_an_observer_that_crosses_out_cues_earns_the_ceiling():
    task, lives = TargetDiscovery(trials=6), 2000
    lanes = torch.arange(lives)
    possible = torch.ones(lives, 4, dtype=torch.bool)
    state, now = task.reset(lanes)
    scores = torch.zeros(lives)
    for _ in range(6 * 8):
        world = state.world
        shown = torch.zeros(lives, 4, dtype=torch.bool)
        shown[lanes, world.first] = shown[lanes, world.second] = True
        j, m = (possible & shown).sum(-1), possible.sum(-1)
        answer = (2 * j >= m).long()
        at_go = state.alive & (state.step == world.go)
        state, now = task.step(state, answer)
        present = (now.reward > 0) == (answer == 1)
        possible = torch.where(at_go[:, None], possible & (shown == present[:, None]), possible)
        scores += now.info.score
    mean = scores.double() / 6
    assert abs(mean.mean() - task.spec.ceiling) < 4 * mean.std() / lives**0.5


def test_the_preset_is_the_published_task():
    task = make("TargetDiscovery-v0", preset="backpropamine")
    assert task.spec.channels["cue"] == (0, 20)
    assert (task.spec.trial_steps, task.trials) == (8, 18)


def test_too_few_bits_are_refused():
    with pytest.raises(ConfigError, match="bits is 2, wanted enough for cues = 5"):
        make("TargetDiscovery-v0", cues=5, bits=2)
