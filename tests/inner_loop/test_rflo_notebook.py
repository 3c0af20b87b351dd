"""Murray's notebook: 50 neurons draw three sines in 100 steps, by RFLO and by back-propagation through time.

Its own run ended at losses (1/2 mean squared error) of 2.3e-4 (BPTT) and 1.5e-4 (RFLO) after 10,000 trials. The
frequencies' amplitudes are ours.
"""

import math

import pytest
import torch

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.inner_loop.feedback.rflo import RFLO
from metaplastic.inner_loop.gradient.bptt import BPTT
from metaplastic.inner_loop.networks.leaky_rnn import LeakyRNN
from metaplastic.inner_loop.rules.sequence import Trials

STEPS, SEEDS = 100, 3
SPEC = TaskSpec("Sines-v0", {}, 1, 1, "readout", 1.0, STEPS, 1, 0.0, 1.0, 0.9)


def three_sines() -> Trials:
    """The trial, the same in all lives: no input, one output."""
    phase = 2 * math.pi * torch.arange(STEPS) / STEPS
    target = torch.sin(phase) + 0.5 * torch.sin(2 * phase) + 0.25 * torch.sin(4 * phase)
    y = target[:, None, None, None].expand(STEPS, SEEDS, 1, 1)
    w = torch.ones(STEPS, SEEDS, 1)
    return Trials(torch.zeros_like(y), y, w, w.long(), torch.full((SEEDS, 1), STEPS))


def losses(rule, trials) -> torch.Tensor:
    """1/2 mean squared error of each seed's network before and after learning, [2, S]."""
    network, given = LeakyRNN(), three_sines()
    key = rng.lifetime_keys(4, torch.arange(SEEDS), rng.INIT)
    state = rule.born(network, SPEC, 1, key, torch.zeros(()))
    found = []
    for number in range(trials + 1):
        lived = rule.trial(network, state, given, key, number, learns=True)
        if number in (0, trials):
            found.append(0.5 * (lived.output - given.y[:, None]).square().mean((0, 1, 3, 4)))
        state = lived.state
    return torch.stack(found)


def test_rflo_learns_the_sines_at_the_notebooks_settings():
    assert (RFLO().eta, BPTT().eta) == (0.03, 0.03)
    before, after = losses(RFLO(), 200)
    assert (after < 0.7 * before).all()


@pytest.mark.slow
def test_rflo_ends_within_ten_times_the_loss_of_bptt():
    rflo, bptt = (losses(rule, 10_000)[1] for rule in (RFLO(), BPTT()))
    assert (bptt < 5e-3).all()
    assert float(rflo.median()) < 10 * float(bptt.median())
