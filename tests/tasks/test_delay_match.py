"""Delayed non-match to sample: Miconi's (2017) trials step by step, its error, and its variants."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import TrialBatch
from metaplastic.tasks.memory.delay_match import DelayNonMatchSample

P, L = 3, 5


def published(trial: int, steps: int, first: int, second: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and target as the published program fills them: segments [start, start + length) of a row."""
    kind = trial % 4
    rows = np.zeros((3, steps))
    rows[1 if kind in (0, 1) else 2, first : first + length] = 1
    rows[1 if kind in (0, 2) else 2, second : second + length] = 1
    return rows.T, np.full((steps, 1), -0.98 if kind in (0, 3) else 0.98)


@pytest.mark.parametrize("trial", range(6))
@pytest.mark.parametrize(
    ("preset", "times"), [("miconi17", (1000, 1, 400, 200)), ("miconi17_long", (2000, 1, 1400, 400))]
)
def test_a_trial_is_that_of_the_published_program(preset, times, trial):
    batch = DelayNonMatchSample(preset=preset).render(torch.arange(L), trial)
    x, y = published(trial, *times)
    assert torch.equal(batch.x, torch.from_numpy(x).float()[:, None].expand(-1, L, -1))
    assert torch.equal(batch.y, torch.from_numpy(y).float()[:, None].expand(-1, L, -1))
    steps = torch.arange(times[0])[:, None].expand(-1, L)
    assert torch.equal(batch.w, (steps >= times[0] - 200).float())
    assert batch.kind.tolist() == [trial % 4] * L


def test_epochs_follow_each_other():
    task = DelayNonMatchSample()
    epoch = task.render(torch.arange(1), 0).epoch[:, 0]
    names, steps = epoch.unique_consecutive(return_counts=True)
    lengths = {task.epochs[name]: count for name, count in zip(names.tolist(), steps.tolist(), strict=True)}
    assert lengths == {"onset": 1, "first": 200, "delay": 199, "second": 200, "wait": 200, "response": 200}


def test_variable_delays_are_300_to_798_ms_each_alike():
    task = DelayNonMatchSample(preset="miconi17_var")
    x = task.render(torch.arange(4000), 2).x  # BA
    assert x.shape[0] == 1600
    first_a = x[..., 1].argmax(0)
    delay = first_a - 301
    assert (delay.min(), delay.max()) == (300, 798)
    assert chisquare((delay - 300).bincount(minlength=499).numpy()).pvalue > 1e-4
    assert torch.equal(x[..., 1].sum(0), torch.full((4000,), 300.0))


def test_random_types_come_each_alike_and_cyclic_ones_in_turn():
    drawn = DelayNonMatchSample(order="random", dt=20, onset=0, delay=200)
    kinds = torch.stack([drawn.render(torch.arange(500), trial).kind for trial in range(8)])
    assert chisquare(kinds.flatten().bincount(minlength=4).numpy()).pvalue > 1e-4
    pairs = (kinds[:-1] * 4 + kinds[1:]).flatten().bincount(minlength=16)
    assert chisquare(pairs.numpy()).pvalue > 1e-4


def test_the_error_is_the_mean_distance_in_the_response_alone():
    task = DelayNonMatchSample()
    batch = task.render(torch.arange(1), 1)  # target +.98
    output = torch.full((1000, 1, 1), 7.0, dtype=torch.float64)  # what it does before the response counts nothing
    output[800:900] = 0.98
    output[900:] = 0.48
    verdict = task.judge(output, batch)
    assert verdict.reward.item() == pytest.approx(-0.25, abs=1e-7)
    assert verdict.score.item() == pytest.approx(1 - 0.25 / 1.96, abs=1e-7)
    assert verdict.correct.item() == 1


@pytest.mark.parametrize(
    ("level", "error", "score", "correct"), [(-0.98, 0, 1, 1), (0.0, 0.98, 0.5, 0), (1.5, 2.48, 0, 0)]
)
def test_scores_of_constant_outputs_after_two_equal_stimuli(level, error, score, correct):
    task = DelayNonMatchSample()
    verdict = task.judge(torch.full((1000, 1, 1), level), task.render(torch.arange(1), 3))
    assert verdict.reward.item() == pytest.approx(-error, abs=1e-6)
    assert verdict.score.item() == pytest.approx(score, abs=1e-6)
    assert verdict.correct.item() == correct


def test_each_individual_and_lifetime_is_judged_for_itself():
    task = DelayNonMatchSample(order="random", dt=20, onset=0, delay=200)
    batch = task.render(torch.arange(L), 0)
    output = rng.uniforms(rng.root(3), 50, P, L, 1)
    together = task.judge(output, batch)
    assert together.reward.shape == (P, L)
    for p in range(P):
        for lane in range(L):
            x, y, w, epoch = (field[:, lane : lane + 1] for field in batch[:4])
            alone = task.judge(output[:, p, lane : lane + 1], TrialBatch(x, y, w, epoch, batch.kind[lane : lane + 1]))
            assert torch.equal(together.reward[p, lane], alone.reward[0])
            assert torch.equal(together.correct[p, lane], alone.correct[0])


def test_a_judgement_does_not_depend_on_the_order_of_its_sums():
    task = DelayNonMatchSample()
    batch = task.render(torch.arange(L), 0)
    output = rng.normals(rng.root(1), 1000, P, L, 1)
    x, y, w, epoch = (field.flip(0) for field in batch[:4])
    upside_down = task.judge(output.flip(0), TrialBatch(x, y, w, epoch, batch.kind))
    assert torch.equal(task.judge(output, batch).reward, upside_down.reward)


def test_the_same_times_at_another_dt():
    fine, coarse = (DelayNonMatchSample(dt=dt, onset=0, delay=200, longest_delay=400) for dt in (1, 20))
    assert (fine.spec.trial_steps, coarse.spec.trial_steps) == (1000, 50)
    for task in (fine, coarse):
        batch = task.render(torch.arange(300), 0)
        assert torch.equal(batch.x.sum(0) * task.dt, torch.tensor([0.0, 400.0, 0.0]).expand(300, 3))
        assert torch.equal(batch.w.sum(0) * task.dt, torch.full((300,), 200.0))
        second = (batch.epoch == 3).int().argmax(0) * task.dt
        assert second.min() >= 400
        assert second.max() <= 600


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dt": 20}, "onset is 1 ms, which is not a multiple of dt = 20 ms; use 0 or 20"),
        ({"dt": 10, "onset": 0, "delay": 195}, "delay is 195 ms, .* use 190 or 200"),
        ({"delay": 500}, "trial is 1000 ms, wanted at least 1101"),
        ({"longest_delay": 100}, "longest_delay is 100 ms, wanted at least delay = 199"),
        ({"order": "cyclical"}, "did you mean 'cyclic'"),
    ],
)
def test_impossible_times_are_refused_with_the_mend(settings, words):
    with pytest.raises(ValidationError, match=words):
        DelayNonMatchSample.model_validate(settings)


def test_a_trial_beyond_the_life_is_refused():
    with pytest.raises(ValueError, match=r"trial is 12, wanted one in \[0, 12\)"):
        DelayNonMatchSample(trials=7, test_trials=5).render(torch.arange(2), 12)
