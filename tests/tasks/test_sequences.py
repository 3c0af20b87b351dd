"""Copy memory and the adding problem: trials step by step, who has no memory, and the published sizes."""

import math

import pytest
import torch
from scipy.stats import chisquare, kstest

from metaplastic.core import ConfigError
from metaplastic.tasks.registry import make
from metaplastic.tasks.sequences.adding import Adding
from metaplastic.tasks.sequences.copy_memory import CopyMemory


def test_symbols_come_then_blanks_a_delimiter_and_blanks():
    task = CopyMemory(symbols=4, length=3, delay=5)
    batch = task.render(torch.arange(6), 1)
    assert batch.x.shape == (11, 6, 6)
    assert (batch.x.sum(-1) == 1).all()
    seen, said = batch.x.argmax(-1), batch.y.argmax(-1)
    assert (seen[:3] < 4).all()
    assert seen[3:, 0].tolist() == [4, 4, 4, 4, 5, 4, 4, 4]
    assert (said[:8] == 4).all()
    assert torch.equal(said[8:], seen[:3])
    assert batch.epoch[:, 0].tolist() == [0] * 3 + [1] * 5 + [2] * 3
    assert batch.w[:, 0].tolist() == [0.0] * 8 + [1.0] * 3
    assert (CopyMemory(judged="all").render(torch.arange(2), 0).w == 1).all()


def test_all_rows_of_symbols_come_alike():
    seen = CopyMemory(symbols=3, length=3, delay=1).render(torch.arange(9000), 0).x[:3].argmax(-1)
    code = (seen * torch.tensor([9, 3, 1])[:, None]).sum(0).bincount(minlength=27)
    assert chisquare(code.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("judged", ["recall", "all"])
def test_who_has_no_memory_scores_what_the_task_says(judged):
    task = CopyMemory(symbols=5, length=4, delay=3, judged=judged)
    batch = task.render(torch.arange(3000), 0)
    output = torch.zeros_like(batch.y)
    output[:7, :, 5] = 1.0
    output[7:, :, 2] = 1.0
    score = task.judge(output, batch).score
    assert abs(score.mean() - task.memoryless) < 4 * score.std() / math.sqrt(3000)
    assert task.spec.chance < task.memoryless < task.spec.criterion


def test_the_published_copies():
    task, longer = (make("CopyMemory-v0", preset=preset) for preset in ("arjovsky16", "arjovsky16_500"))
    assert isinstance(task, CopyMemory)
    assert (task.symbols, task.length, task.spec.trial_steps, longer.spec.trial_steps) == (8, 10, 120, 520)
    assert (task.spec.observations, task.spec.actions) == (10, 9)
    assert task.memoryless_loss == pytest.approx(10 * math.log(8) / 120)
    assert task.memoryless == pytest.approx((110 + 10 / 8) / 120)


def test_two_numbers_are_marked_one_in_each_half_and_their_sum_is_wanted():
    task = Adding(steps=7, scale=0.5)
    batch = task.render(torch.arange(4000), 0)
    number, mark = batch.x.unbind(-1)
    assert torch.equal(mark[:3].sum(0), torch.ones(4000))
    assert torch.equal(mark[3:].sum(0), torch.ones(4000))
    assert torch.allclose(batch.y[-1, :, 0], 0.5 * (number * mark).sum(0))
    assert batch.w[:, 0].tolist() == [0.0] * 6 + [1.0]
    assert batch.epoch[:, 0].tolist() == [0] * 6 + [1]
    assert chisquare(mark[:3].sum(1).numpy()).pvalue > 1e-4
    assert chisquare(mark[3:].sum(1).numpy()).pvalue > 1e-4
    assert kstest(number[2].numpy(), "uniform").pvalue > 1e-4


def test_a_sum_is_scored_by_its_error_in_the_last_step_alone():
    task = Adding(steps=4, scale=2.0)
    batch = task.render(torch.arange(3), 0)
    output = batch.y.clone()
    output[:3] = 9.0
    output[3] += torch.tensor([0.5, -0.12, 3.0])[:, None]
    verdict = task.judge(output, batch)
    assert torch.allclose(verdict.score, torch.tensor([0.75, 0.94, 0.0]))
    assert torch.allclose(verdict.reward, -torch.tensor([0.25, 0.0144, 9.0]))
    assert verdict.correct.tolist() == [0, 1, 0]


def test_the_best_constant_output_errs_by_a_sixth():
    task = Adding(steps=10)
    batch = task.render(torch.arange(20_000), 0)
    verdict = task.judge(torch.ones_like(batch.y), batch)
    assert abs(verdict.reward.mean() + 1 / 6) < 4 * verdict.reward.std() / math.sqrt(20_000)
    assert abs(verdict.score.mean() - 2 / 3) < 4 * verdict.score.std() / math.sqrt(20_000)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.2, 3.0])
def test_random_outputs_score_the_integral(scale):
    task = Adding(steps=2, scale=scale)
    assert Adding().spec.chance == pytest.approx(1 / 4)
    lives = 20_000
    batch = task.render(torch.arange(lives), 0)
    score = task.judge(task.random_outputs(torch.arange(lives), 0, batch), batch).score
    assert abs(score.mean() - task.spec.chance) < 4 * score.std() / math.sqrt(lives)


def test_the_published_sums():
    assert [make("Adding-v0", preset=preset).spec.trial_steps for preset in Adding.presets] == [100, 750]


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        ("CopyMemory-v0", {"judged": "recal"}, "did you mean 'recall'"),
        ("CopyMemory-v0", {"delay": 0}, "CopyMemory-v0: delay"),
        ("Adding-v0", {"steps": 1}, "Adding-v0: steps"),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError, match=words):
        make(id, **settings)
