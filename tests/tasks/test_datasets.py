"""Trials as datasets: batches that depend on their number alone, sequences without gaps, other libraries' styles."""

import pytest
import torch
from torch.utils.data import DataLoader

from metaplastic.core import ConfigError
from metaplastic.tasks.datasets import TrialDataset
from metaplastic.tasks.registry import make

DOTS = "PerceptualDecisionMaking-v0"


def dataset(**changes):
    return TrialDataset(DOTS, **{"batch": 6, "batches": 5, "seed": 3, **changes})


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_batch_is_the_trial_that_its_lifetimes_live():
    whole = make(DOTS).render(torch.arange(12, 18), 0, 3)
    batch = dataset()[2]
    assert torch.equal(batch.x, whole.x)
    assert torch.equal(batch.y, whole.y)
    assert torch.equal(batch.w, whole.w)
    assert torch.equal((batch.trial == 0).sum(0), whole.length)
    assert torch.equal(batch.kind[0], whole.kind)


@pytest.mark.parametrize("steps", [None, 200])
def test_workers_indices_and_iteration_give_the_same_batches(steps):
    data = dataset(steps=steps)
    one = list(data)
    assert len(one) == len(data) == 5
    assert all(same(batch, data[k]) for k, batch in enumerate(one))
    loaded = list(DataLoader(data, batch_size=None, num_workers=2))
    assert all(same(a, b) for a, b in zip(one, loaded, strict=True))
    assert not same(one[0], one[1])
    assert not same(one[0], dataset(steps=steps, seed=4)[0])


def test_an_iteration_goes_on_where_its_state_was_taken():
    data, seen = dataset(), []
    for batch in data:
        seen.append(batch)
        if len(seen) == 2:
            state = data.state_dict()
            break
    again = dataset()
    again.load_state_dict(state)
    rest = list(again)
    assert len(rest) == 3
    assert all(same(a, b) for a, b in zip([*seen, *rest], dataset(), strict=True))
    assert len(list(again)) == 5  # and then from the start


def test_a_state_of_another_dataset_is_refused():
    with pytest.raises(ValueError, match=r"seed is 3 in the state, wanted 4"):
        dataset(seed=4).load_state_dict(dataset().state_dict())


def test_sequences_are_trials_end_to_end():
    task, steps = make(DOTS, preset="song17"), 500
    (batch, *_) = TrialDataset(task, batch=4, batches=1, steps=steps)
    lifetimes = torch.arange(4)
    for lane in range(4):
        x, w, number = [], [], []
        for trial in range(int(batch.trial.max()) + 1):
            shown = task.render(lifetimes, trial, 0)
            length = int(shown.length[lane])
            x.append(shown.x[:length, lane])
            w.append(shown.w[:length, lane])
            number += [trial] * length
        assert torch.equal(batch.x[:, lane], torch.cat(x)[:steps])
        assert torch.equal(batch.w[:, lane], torch.cat(w)[:steps])
        assert batch.trial[:, lane].tolist() == number[:steps]


def test_a_life_that_is_too_short_is_told():
    short = make(DOTS, trials=2, test_trials=1)
    with pytest.raises(ValueError, match=r"steps is 100000, but the 3 trials of a life of PerceptualDecisionMaking-v0"):
        TrialDataset(short, steps=100_000)[0]


def test_styles_of_other_libraries_hold_the_same_numbers():
    ours = dataset()[1]
    inputs, labels = dataset(style="neurogym")[1]
    assert torch.equal(inputs, ours.x)
    assert torch.equal(labels, ours.y.argmax(-1))
    assert labels.shape == ours.w.shape
    x, y, mask, params = dataset(style="psychrnn")[1]
    assert torch.equal(x, ours.x.transpose(0, 1))
    assert torch.equal(y, ours.y.transpose(0, 1))
    assert mask.shape == y.shape
    assert torch.equal(mask[..., 0], ours.w.T)
    assert [one["length"] for one in params] == (ours.trial == 0).sum(0).tolist()
    assert [one["kind"] for one in params] == ours.kind[0].tolist()


def test_targets_of_readouts_are_outputs():
    _, targets = TrialDataset("DelayNonMatchSample-v0", batch=3, batches=1, style="neurogym")[0]
    assert targets.dtype == torch.float32
    assert targets.ndim == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 0}, "batch is 0, wanted 1 or more"),
        ({"steps": 0}, "steps is 0, wanted 1 or more"),
        ({"style": "neurogim"}, "did you mean 'neurogym'"),
    ],
)
def test_wrong_numbers_are_told(changes, words):
    with pytest.raises(ValueError, match=words):
        dataset(**changes)


def test_wrong_tasks_are_told():
    with pytest.raises(ValueError, match=r"Bandit-v0 has no trials that can be drawn ahead; use reset and step"):
        TrialDataset("Bandit-v0")
    with pytest.raises(ValueError, match=r"settings are .* beside a task that is made"):
        TrialDataset(make(DOTS), dt=10)
    with pytest.raises(ConfigError, match=r"did you mean"):
        TrialDataset("PerceptualDecisionMakin-v0")
    with pytest.raises(IndexError, match=r"batch 5 of 5"):
        dataset()[5]
