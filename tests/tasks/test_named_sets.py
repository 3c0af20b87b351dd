"""Named sets: who is in them, how they are split, and that each of them can be lived."""

import pickle

import pytest
import torch

from metaplastic.tasks.contract.blocks import blocks_have_their_shape, draws_by_key_alone
from metaplastic.tasks.contract.check import describes_itself, is_a_plain_value
from metaplastic.tasks.contract.loop import lives_one_life, starts_well
from metaplastic.tasks.contract.scores import oracle_earns_ceiling, random_earns_chance
from metaplastic.tasks.registry import make
from metaplastic.tasks.task_sets.named_sets import NAMED_SETS
from metaplastic.tasks.task_sets.task_set import TaskSet

LIVES = torch.arange(40)


def named(preset: str, **settings) -> TaskSet:
    made = make("TaskSet", preset=preset, **settings)
    assert isinstance(made, TaskSet)
    return made


@pytest.mark.parametrize("preset", NAMED_SETS)
def test_every_set_describes_itself_and_is_a_plain_value(preset):
    tasks = named(preset)
    complaints = [line for check in (describes_itself, is_a_plain_value) for line in check(tasks)]
    if len(tasks.tasks) > 20:  # each of its tasks is a small value
        assert len(pickle.dumps(tasks)) < 500 * len(tasks.tasks)
        complaints = [line for line in complaints if "bytes" not in line]
    assert complaints == []


@pytest.mark.parametrize("preset", NAMED_SETS)
def test_a_life_in_every_set_begins_and_goes_on(preset):
    tasks = named(preset, trials=2, test_trials=1)
    assert list(starts_well(tasks)) == []
    seen = tasks.rollout(tasks.oracle_policy(), LIVES, 3)
    assert seen.observation.shape == (3, 40, tasks.spec.observations)
    assert seen.observation.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("preset", NAMED_SETS)
def test_every_set_keeps_the_contract(preset):
    tasks = named(preset)
    checks = (blocks_have_their_shape, draws_by_key_alone, lives_one_life)
    assert [line for check in checks for line in check(tasks)] == []


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["yang19", "miconi23", "bandits"])
def test_chance_and_the_oracle_are_what_the_spec_says(preset):
    assert [line for check in (random_earns_chance, oracle_earns_ceiling) for line in check(named(preset))] == []


@pytest.mark.parametrize(
    ("preset", "tasks", "observations", "actions"),
    [
        ("songset", 7, 29, 4),
        ("pargaset", 8, 32, 4),
        ("yang19", 20, 85, 33),
        ("driscoll15", 15, 85, 33),
        ("modcog", 82, 115, 17),
    ],
)
def test_sets_of_trials_are_as_large_as_they_should_be_and_can_be_rendered(preset, tasks, observations, actions):
    made = named(preset)
    assert (len(made.tasks), made.spec.observations, made.spec.actions) == (tasks, observations, actions)
    assert made.has_blocks
    assert {task.facts.dt for task in made.tasks} == {made.spec.dt}
    batch = made.render(LIVES, 3)
    assert batch.x.shape == (made.spec.trial_steps, 40, observations)
    assert (made.judge(batch.y, batch).score == 1).all()


def test_context_tasks_come_five_times_as_often_in_yang19():
    tasks = named("yang19")
    shares = {task.kind: share for task, share in zip(tasks.tasks, tasks.shares, strict=True)}
    assert shares["yang19.ctxdm1-v0"] == shares["yang19.ctxdm2-v0"] == pytest.approx(5 / 28)
    assert shares["yang19.dm1-v0"] == pytest.approx(1 / 28)


def test_what_says_which_task_it_is_is_there_once():
    assert "task" not in named("yang19").spec.channels
    assert named("songset").spec.channels["task"] == (22, 29)
    assert {"task", "rule"} & set(named("miconi23").spec.channels) == set()
    assert set(named("bandits").spec.channels) == {"constant", "previous_action", "previous_reward"}


@pytest.mark.parametrize("preset", ["brainset", "miconi23"])
def test_splits_share_no_task_and_leave_none_out(preset):
    tasks = named(preset)
    numbers = [number for part in tasks.splits.values() for number in part]
    assert sorted(numbers) == list(range(len(tasks.tasks)))
    train = named(preset, split="train")
    assert train.held_out().split == "test"
    assert train.held_out().layout == train.layout
    lived = set(train.task_of(torch.arange(500), 0).tolist())
    assert lived == set(tasks.splits["train"])
    assert set(train.held_out().task_of(torch.arange(500), 0).tolist()) == set(tasks.splits["test"])


def test_the_boolean_functions_of_the_test_are_those_of_the_publication():
    tasks = named("miconi23")
    assert [tasks.tasks[number].kind for number in tasks.splits["test"]] == ["miconi23.dms-v0", "miconi23.dnms-v0"]
    assert (tasks.trials, tasks.test_trials) == (300, 100)
