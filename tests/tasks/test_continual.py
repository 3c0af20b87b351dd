"""Continual learning: measures by hand, sequences that keep one layout, and a learner that forgets."""

import math

import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.contract.check import check_task
from metaplastic.tasks.registry import make
from metaplastic.tasks.task_sets import named_sequences as named
from metaplastic.tasks.task_sets.continual import (
    Sequence,
    area_under_curve,
    backward_transfer,
    forgetting,
    forward_transfer,
    mean_final_accuracy,
    savings,
    transfer_matrix,
)
from metaplastic.tasks.task_sets.task_set import TaskSet

LIVES = torch.arange(50)
SCORES = torch.tensor(
    [
        [0.2, 0.3, 0.1],
        [0.9, 0.5, 0.1],
        [0.6, 0.8, 0.4],
        [0.7, 0.5, 1.0],
    ]
)
"""three stages of three tasks; row 0 is before any"""


# ---- measures
def test_measures_by_hand():
    assert mean_final_accuracy(SCORES).item() == pytest.approx(2.2 / 3)
    assert backward_transfer(SCORES).item() == pytest.approx(((0.7 - 0.9) + (0.5 - 0.8)) / 2)
    assert forgetting(SCORES).item() == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)
    assert forward_transfer(SCORES).item() == pytest.approx(((0.5 - 0.3) + (0.4 - 0.1)) / 2)


def test_what_a_task_was_before_it_was_learned_is_not_forgotten():
    scores = torch.tensor([[0.0, 0.0], [1.0, 0.9], [0.4, 0.5]])
    assert forgetting(scores).item() == pytest.approx(0.6)  # task 1 is learned in the last stage
    assert backward_transfer(scores).item() == pytest.approx(-0.6)
    before = torch.tensor([[0.9, 0.0], [0.5, 0.0], [0.4, 1.0]])
    assert forgetting(before).item() == pytest.approx(0.1)


def test_tasks_may_share_a_stage_or_have_none():
    first = (1, 1, 3)
    assert backward_transfer(SCORES, first).item() == pytest.approx(((0.7 - 0.9) + (0.5 - 0.5)) / 2)
    assert forgetting(SCORES, first).item() == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)
    assert forward_transfer(SCORES, first).item() == pytest.approx(0.4 - 0.1)
    assert forward_transfer(SCORES, (1, 1, 4)).item() == pytest.approx(1.0 - 0.1)  # never in a stage
    assert math.isnan(forward_transfer(SCORES, (1, 1, 1)).item())
    assert math.isnan(forgetting(SCORES, (3, 3, 3)).item())


def test_axes_behind_stages_and_tasks_are_kept():
    several = torch.stack((SCORES, SCORES / 2), -1)
    for measure in (mean_final_accuracy, backward_transfer, forgetting, forward_transfer):
        assert measure(several).tolist() == pytest.approx([measure(SCORES).item(), measure(SCORES).item() / 2])


def test_areas_and_savings_by_hand():
    curve, again = torch.tensor([0.0, 0.5, 1.0, 1.0]), torch.tensor([0.5, 1.0, 1.0, 1.0])
    assert area_under_curve(curve).item() == pytest.approx((0.25 + 0.75 + 1) / 3)
    assert area_under_curve(torch.tensor([0.3])).item() == pytest.approx(0.3)
    assert savings(curve, again).item() == pytest.approx((0.75 + 1 + 1) / 3 - 2 / 3)


@pytest.mark.parametrize("first", [(1, 2), (0, 1, 2), (1, 2, 5)])
def test_wrong_stages_are_told(first):
    with pytest.raises(ValueError, match=r"3 stages .* by 3 tasks, wanted a number in"):
        forgetting(SCORES, first)


# ---- sequences
SEQUENCES = {
    "yang19_seq": (named.yang19_seq, ((0,), (1,), (2, 3), (4,), (5, 6)), (1, 2, 3, 3, 4, 5, 5)),
    "yang19_transfer": (named.yang19_transfer, ((0, 1, 2), (3,)), (1, 1, 1, 2)),
    "driscoll15": (named.driscoll15, tuple((n,) for n in range(15)), tuple(range(1, 16))),
    "miconi23_seq": (named.miconi23_seq, ((0,), (1,), (2,), (3,), (0,)), (1, 2, 3, 4)),
    "bandit_seq": (named.bandit_seq, ((0,), (1,), (0,)), (1, 2)),
    "split_digits": (named.split_digits, ((0,), (1,), (2,), (3,), (4,)), (1, 2, 3, 4, 5)),
    "permuted": (lambda: named.permuted({"kind": "DigitsBandit-v0"}, stages=3), ((0,), (1,), (2,)), (1, 2, 3)),
}


@pytest.mark.parametrize(("make_one", "stages", "first"), SEQUENCES.values(), ids=SEQUENCES)
def test_the_stages_of_a_sequence_have_one_layout(make_one, stages, first):
    sequence = make_one()
    assert tuple(stage.tasks for stage in sequence.stages) == stages
    assert sequence.first_stages == first
    outer = sequence.outer()
    assert all(one.layout == sequence.tasks.layout for one in (*outer, sequence.alone(0)))
    for numbers, one in zip(stages, outer, strict=True):
        seen = {int(number) for trial in range(6) for number in one.task_of(LIVES, trial).unique()}
        assert seen == set(numbers)


def test_published_stages():
    sequence = named.yang19_seq()
    kinds = [task.kind.split(".")[1].removesuffix("-v0") for task in sequence.tasks.tasks]
    assert kinds == ["go", "dlygo", "dm1", "dm2", "multidm", "ctxdm1", "ctxdm2"]
    assert [stage.trials for stage in sequence.stages] == [400_000] * 5
    assert all(task.easy for task in sequence.tasks.tasks[2:])
    then = named.yang19_transfer("anti").tasks.tasks
    assert [task.kind for task in then] == [f"yang19.{name}-v0" for name in ("go", "anti", "dlygo", "dlyanti")]
    with pytest.raises(ConfigError, match="did you mean 'context'"):
        named.yang19_transfer("contxt")


def test_one_life_can_have_all_stages():
    sequence = named.miconi23_seq(trials=7)
    life = sequence.inner(test_trials=3)
    assert (life.trials, life.test_trials) == (35, 3)
    came = [int(life.task_of(LIVES[:1], trial)) for trial in range(38)]
    assert came == [task for task in (0, 1, 2, 3) for _ in range(7)] + [0] * 10
    function = life.tasks[0].reset(LIVES, life.seed_of(0, 0))[0].life.table
    assert (function == function[0]).all()


def test_arms_that_stay_are_the_same_before_and_after():
    life = named.bandit_seq().inner(test_trials=0)
    assert life.lifetime_trials == 120 + 170 + 120
    state, _ = life.reset(LIVES)
    first = life.tasks[0].birth(torch.arange(3)).means
    assert first.sort(-1).values.flatten().tolist() == pytest.approx([0.25, 0.75] * 3)
    assert [int(life.task_of(LIVES[:1], trial)) for trial in (0, 119, 120, 289, 290, 409)] == [0, 0, 1, 1, 0, 0]
    assert state.inner[0].life.means.shape[-2] == 1


def test_a_probe_is_a_life_cut_after_a_stage():
    sequence = named.bandit_seq()
    probe = sequence.probe(2, 0, test_trials=5)
    assert (probe.trials, probe.test_trials) == (290, 5)
    assert [int(probe.task_of(LIVES[:1], trial)) for trial in (119, 120, 289, 290, 294)] == [0, 1, 1, 0, 0]
    before = sequence.probe(0, 1)
    assert (before.trials, int(before.task_of(LIVES[:1], 0))) == (1, 1)


def test_permuted_stages_show_one_task_in_different_orders():
    sequence = named.permuted({"kind": "DigitsBandit-v0"}, stages=2)
    first, second = (stage.tasks[0].decisions(LIVES, 0, 1).observation for stage in _alone(sequence))
    assert torch.equal(first.sort(-1).values, second.sort(-1).values)
    assert not torch.equal(first, second)


def _alone(sequence: Sequence) -> list[TaskSet]:
    kept = sequence.tasks.tasks
    return [TaskSet.model_validate({"tasks": [task.model_dump()]}) for task in kept]


def test_the_matrix_of_a_learner_that_knows_only_its_last_stage():
    sequence = named.permuted({"kind": "DigitsBandit-v0"}, stages=3)

    def learn(known: tuple[int, ...], stage: TaskSet) -> tuple[int, ...]:
        return tuple(stage.task_of(LIVES, 0).unique().tolist()) + known[:0]

    def score(known: tuple[int, ...], task: TaskSet) -> torch.Tensor:
        return torch.tensor(1.0 if int(task.task_of(LIVES[:1], 0)) in known else 0.1)

    scores = transfer_matrix(sequence, (), learn, score)
    wanted = torch.full((4, 3), 0.1)
    wanted[1:].fill_diagonal_(1.0)
    assert torch.equal(scores, wanted)
    assert forgetting(scores, sequence.first_stages).item() == pytest.approx(0.9)
    assert mean_final_accuracy(scores).item() == pytest.approx(0.4)


# ---- two rules on a grid
@pytest.mark.parametrize("settings", [{}, {"relevant": "second", "levels": 4}], ids=["odd", "even"])
def test_the_grid_keeps_the_contract(settings):
    check_task(make("GridCategory-v0", **settings))


def test_only_the_relevant_feature_counts():
    block = make("GridCategory-v0").decisions(torch.arange(400), 0, 10)
    first = block.observation[..., 0]
    assert sorted(set(first.flatten().tolist())) == [-1, -0.5, 0, 0.5, 1]
    assert torch.equal(block.payoff[..., 1], (1 + first.sign()) / 2)
    assert torch.equal(block.payoff.sum(-1), torch.ones_like(first))
    counts = one_hot(block.kind, 25).sum((0, 1))
    assert ((counts - 160) ** 2 / 160).sum() < 59  # chi-square of 24 degrees, p > 1e-4
    other = make("GridCategory-v0", relevant="second").decisions(torch.arange(400), 0, 10)
    assert torch.equal(other.observation, block.observation)
    assert torch.equal(other.payoff[..., 1], (1 + block.observation[..., 1].sign()) / 2)


def test_rules_come_by_turns_or_mixed():
    by_turns, mixed = (named.blocked_vs_interleaved(blocked=blocked, block=3, trials=12) for blocked in (True, False))
    turns = torch.stack([by_turns.task_of(LIVES, trial) for trial in range(12)]).reshape(4, 3, -1)
    assert (turns == turns[:, :1]).all()
    pairs = torch.stack([mixed.task_of(LIVES, trial) for trial in range(12)]).reshape(6, 2, -1)
    assert (pairs.sum(1) == 1).all()
    assert by_turns.spec.ceiling == pytest.approx(0.9)
    assert by_turns.spec.channels == {"features": (0, 2), "task": (2, 4)}
