"""Objects of which one is right: their looks, their places, and what one look is worth."""

import pytest
import torch
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.bandits.object_choice import ContextualBandit, HarlowChoice, codes, distinct, scattered
from metaplastic.tasks.registry import make

KEYS = rng.fold(rng.root(5), torch.arange(6000))


def test_codes_are_the_bits_of_a_number():
    assert codes(torch.tensor([5, 2]), 3).tolist() == [[1, -1, 1], [-1, 1, -1]]


def test_distinct_numbers_are_different_and_each_set_is_as_likely():
    drawn = distinct(KEYS, 5, 3).sort(-1).values
    assert (drawn.diff(dim=-1) > 0).all()
    number = (drawn * torch.tensor([25, 5, 1])).sum(-1)
    _, counts = number.unique(return_counts=True)
    assert len(counts) == 10
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_objects_never_look_alike_and_their_order_is_random():
    task = HarlowChoice(bits=2, objects=3, trials=9, feedback=False)
    block = task.decisions(torch.arange(500), 0, 9)
    seen = block.observation.reshape(9, 500, 3, 2)
    number = ((seen > 0) * torch.tensor([1, 2])).sum(-1)
    assert (number.sort(-1).values.diff(dim=-1) > 0).all()
    assert (number.sort(-1).values == number[:1].sort(-1).values).all()  # the same objects all life
    right = block.payoff.argmax(-1)
    assert chisquare(right.flatten().bincount().numpy()).pvalue > 1e-4
    assert (number.gather(-1, right[..., None]) == number.gather(-1, right[..., None])[:1]).all()


def seen_codes(stimuli):
    block = HarlowChoice(stimuli=stimuli, feedback=False).decisions(torch.arange(3000), 0, 1)
    return set(((block.observation.reshape(-1, 2, 8) > 0) * 2 ** torch.arange(8)).sum(-1).flatten().tolist())


def test_stimuli_that_are_held_out_are_an_eighth_and_never_seen_in_training():
    training, held_out = seen_codes("training"), seen_codes("held_out")
    assert (len(training), len(held_out)) == (224, 32)
    assert not training & held_out
    assert seen_codes("all") == training | held_out
    shown = codes(torch.tensor(sorted(held_out)), 8)
    assert shown.mean(0).abs().max() <= 0.25  # every bit is seen both ways
    for bits in (3, 9):
        assert scattered(torch.arange(2**bits), bits).unique().tolist() == list(range(2**bits))


def test_harlows_objects_pay_plus_and_minus_one():
    task = make("HarlowChoice-v0")
    assert task.spec.channels["left"] == (0, 8)
    assert (task.spec.channels["right"], task.trials) == ((8, 16), 6)
    state, _ = task.reset(torch.arange(50))
    assert torch.equal(state.now.payoff.sort(-1).values, torch.tensor([-1.0, 1]).expand(50, 2))


def test_colours_are_uniform_and_complements():
    task = ContextualBandit(feedback=False)
    block = task.decisions(torch.arange(1000), 0, 20)
    left, right = block.observation[..., :3], block.observation[..., 3:]
    torch.testing.assert_close(left + right, torch.ones_like(left))
    assert chisquare(torch.histc(left[0], 10, 0, 1).numpy()).pvalue > 1e-4
    is_left = block.payoff[..., 0] == 1
    wanted = torch.where(is_left[..., None], left, right)
    assert torch.equal(wanted, wanted[:1].expand_as(wanted))


@pytest.mark.parametrize(("objects", "trials", "wanted"), [(2, 6, 5.5 / 6), (3, 2, 0.5), (4, 5, 3.5 / 5)])
def test_the_ceiling_is_that_of_elimination(objects, trials, wanted):
    assert HarlowChoice(objects=objects, trials=trials).spec.ceiling == pytest.approx(wanted)


def test_who_eliminates_earns_the_ceiling():
    lives, task = 3000, HarlowChoice(objects=4, bits=6, trials=5)
    out = torch.zeros(lives, 64, dtype=torch.bool)
    state, now = task.reset(torch.arange(lives))
    scores, known = [], torch.full((lives,), -1)
    for _ in range(5):
        seen = now.observation[:, :24].reshape(lives, 4, 6)
        number = ((seen > 0) * 2 ** torch.arange(6)).sum(-1)
        wish = torch.where(known[:, None] >= 0, number == known[:, None], ~out.gather(1, number))
        action = wish.to(torch.uint8).argmax(-1)
        state, now = task.step(state, action)
        taken = number.gather(1, action[:, None])
        known = torch.where(now.reward > 0, taken[:, 0], known)
        out = out.scatter(1, taken, True)
        scores.append(now.info.score)
    mean = torch.stack(scores).double().mean(0)
    assert abs(mean.mean() - task.spec.ceiling) < 4 * mean.std() / lives**0.5


def test_too_few_bits_are_refused():
    with pytest.raises(ConfigError, match="bits is 2, wanted enough for objects = 5"):
        make("HarlowChoice-v0", objects=5, bits=2)
    with pytest.raises(ConfigError, match="among the 1 that are held_out"):
        make("HarlowChoice-v0", bits=3, stimuli="held_out")
