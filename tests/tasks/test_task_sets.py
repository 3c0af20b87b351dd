"""Task sets: layouts and schedules by hand, every schedule by the contract, blocks equal to lives, mistakes."""

import pickle

import pytest
import torch
from one_graph import check_one_graph
from pydantic import ValidationError

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.perturbation import Miconi17
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.contract.blocks import blocks_have_their_shape, draws_by_key_alone, splits_by_trials
from metaplastic.tasks.contract.check import describes_itself, is_a_plain_value
from metaplastic.tasks.contract.loop import lives_one_life, starts_well
from metaplastic.tasks.contract.scores import oracle_earns_ceiling, random_earns_chance
from metaplastic.tasks.registry import make
from metaplastic.tasks.task_sets.layouts import joined
from metaplastic.tasks.task_sets.schedules import Stage, place, plan_of
from metaplastic.tasks.task_sets.task_set import TaskSet

LIVES = torch.arange(7) * 5 + 1
MANY = torch.arange(3000)

ARMS = [{"kind": "Bandit-v0", "arms": 3}, {"kind": "ReversalBandit-v0"}, {"kind": "DigitsBandit-v0"}]
DOTS = {
    "kind": "PerceptualDecisionMaking-v0",
    "dt": 100,
    "timing": {"fixation": 100, "stimulus": {"uniform": [100, 400]}, "delay": 0, "decision": 200},
}
MATCH = {"kind": "DelayMatchSample-v0", "preset": "neurogym", "timing": {"delay": 100}}
RING = {"kind": "yang19.dms-v0", "preset": "neurogym"}
TRIALS = [DOTS, MATCH, RING]
SHORT = {"kind": "PerceptualDecisionMaking-v0", "dt": 100, "timing": {"fixation": 0, "stimulus": 100, "decision": 100}}
ODD = {
    "kind": "yang19.rtanti-v0",
    "preset": "neurogym",
    "timing": {"fixation": {"uniform": [100, 300]}, "decision": 100},
}
PULSE = {"kind": "DelayNonMatchSample-v0", "dt": 20, "trial": 300, "onset": 0, "stimulus": 60, "delay": 40}
PULSE = {**PULSE, "response": 60, "order": "random"}
OUTPUTS = [PULSE, {"kind": "yang19.readout-v0", "task": {"kind": "yang19.rtgo-v0", "preset": "neurogym", "dt": 20}}]
WORLDS = [{"kind": "Bandit-v0", "feedback": True}, {"kind": "TwoStep-v0"}, DOTS]
BODIES = [{"kind": "miconi23.nand-v0"}, {"kind": "TMazeSteering-v0"}]
UNEVEN = [{"tasks": [0, 1], "trials": 3}, {"tasks": [2], "trials": 1}]
SCHEDULES = ("per_lifetime", "interleaved", "blocked", "sequential")


def task_set(tasks: list[dict], schedule: str = "interleaved", **settings) -> TaskSet:
    made = make("TaskSet", tasks=tasks, schedule=schedule, **{"trials": 9, "test_trials": 4, **settings})
    assert isinstance(made, TaskSet)
    return made


# ---- schedules
def lived(stages: list[Stage], block: int, trials: int, tasks: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """The tasks of many lives [T, L], and the own trials that the schedule gives."""
    trial = torch.arange(trials)[:, None].expand(-1, len(MANY))
    return place(plan_of(tuple(stages), block), tasks, MANY * 7919, trial)


def own_trials(task: torch.Tensor, tasks: int = 3) -> torch.Tensor:
    """How often each trial's task came before, by counting."""
    came = one_hot(task, tasks).cumsum(0) - 1
    return came.gather(-1, task[..., None]).squeeze(-1).to(torch.int64)


@pytest.mark.parametrize(
    ("stages", "block"),
    [
        ([Stage(tasks=(0, 1, 2), trials=1)], 1),
        ([Stage(tasks=(0, 2, 2, 1), trials=1)], 1),
        ([Stage(tasks=(0, 1, 2), trials=1)], 5),
        ([Stage(tasks=(0,), trials=4), Stage(tasks=(1, 2), trials=6), Stage(tasks=(0, 0, 2), trials=1)], 1),
    ],
)
def test_a_tasks_own_trials_are_counted_without_living_through_them(stages, block):
    task, own = lived(stages, block, 31)
    assert torch.equal(own, own_trials(task))


def test_a_round_has_every_task_as_often_as_wanted_in_any_order():
    task, _ = lived([Stage(tasks=(0, 2, 2, 1), trials=1)], 1, 40)
    rounds = one_hot(task, 3).reshape(10, 4, -1, 3).sum(1)
    assert (rounds == torch.tensor([1.0, 1.0, 2.0])).all()
    first = one_hot(task[::4], 3).mean((0, 1))
    assert first.tolist() == pytest.approx([0.25, 0.25, 0.5], abs=0.02)  # 30 000 draws
    orders = (task[:4] * torch.tensor([27, 9, 3, 1])[:, None]).sum(0)
    assert len(orders.unique()) == 12  # 4! / 2!
    assert not torch.equal(task[:4], task[4:8])


def test_blocks_are_as_long_as_they_should_be():
    task, _ = lived([Stage(tasks=(0, 1, 2), trials=1)], 5, 30)
    blocks = task.reshape(6, 5, -1)
    assert (blocks == blocks[:, :1]).all()
    assert (blocks[:, 0].reshape(2, 3, -1).sort(1).values == torch.tensor([0, 1, 2])[:, None]).all()


def test_stages_come_one_after_the_other_and_the_last_goes_on():
    stages = [Stage(tasks=(2,), trials=3), Stage(tasks=(0, 1), trials=4), Stage(tasks=(2,), trials=1)]
    task, own = lived(stages, 1, 12)
    assert (task[:3] == 2).all()
    assert (task[3:7] != 2).all()
    assert (task[7:] == 2).all()
    assert own[:, 0].tolist() == [0, 1, 2, *own[3:7, 0].tolist(), 3, 4, 5, 6, 7]
    assert plan_of(tuple(stages), 1).shares(3, 10) == pytest.approx((0.2, 0.2, 0.6))


def test_one_task_a_lifetime_comes_as_often_as_it_should():
    tasks = task_set(ARMS, "per_lifetime", frequencies=(1, 2, 1))
    first, last = tasks.task_of(MANY, 0), tasks.task_of(MANY, 12)
    assert torch.equal(first, last)
    assert one_hot(first, 3).mean(0).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.04)
    assert tasks.shares == (0.25, 0.5, 0.25)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_scores_are_means_over_the_tasks_of_a_life(schedule):
    tasks = task_set(ARMS, schedule, block=4, trials=8, test_trials=4)
    thirds = sum(task.spec.chance for task in tasks.tasks) / 3
    assert tasks.spec.chance == pytest.approx(thirds)
    assert task_set(ARMS, "sequential", block=8, trials=12, test_trials=4).shares == (0.5, 0.5, 0.0)


# ---- layouts
def test_channels_of_one_name_share_a_place():
    layout = joined(tuple(make(**{"id": one.pop("kind"), **one}).spec for one in map(dict, (MATCH, DOTS))), "task")
    assert layout.channels == {"fixation": (0, 1), "stimulus": (1, 3), "evidence": (3, 5), "task": (5, 7)}
    assert (layout.shared, layout.observations, layout.actions) == (5, 7, 3)
    assert layout.shown(1, torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1, 0, 0, 2, 3]]
    assert layout.epochs == ("fixation", "sample", "delay", "test", "decision", "stimulus")
    assert layout.epoch(1, torch.tensor([0, 1, 2, 3])).tolist() == [0, 5, 2, 4]


def test_a_channel_is_as_wide_as_the_widest_needs():
    narrow, wide = make("yang19.go-v0", units=8, rule=False).spec, make("yang19.go-v0", units=9, rule=False).spec
    layout = joined((narrow, wide), None)
    assert layout.channels == {"fixation": (0, 1), "ring1": (1, 10), "ring2": (10, 19)}
    shown = layout.shown(0, torch.arange(1.0, 18.0)[None])[0].tolist()
    assert shown == [*range(1, 10), 0, *range(10, 18), 0]


def test_an_action_that_a_task_lacks_is_its_first_one():
    tasks = task_set([DOTS, RING], "per_lifetime")
    assert tasks.layout.actions == 17
    assert tasks.layout.done(torch.tensor([0, 2, 3, 16]), 3).tolist() == [0, 2, 0, 0]
    block = task_set(ARMS[:2]).decisions(LIVES, 0, 13)
    two = block.observation[..., -1] == 1  # of the bandit with two arms
    assert two.any()
    assert torch.equal(block.payoff[two][:, 2], block.payoff[two][:, 0])


def test_trial_types_of_tasks_are_kept_apart():
    batch = task_set(TRIALS).render(MANY, 0)
    types = [task.spec.trial_types for task in task_set(TRIALS).tasks]
    task = batch.drawn.task
    for number in range(3):
        kinds = batch.kind[task == number]
        assert kinds.min() == sum(types[:number])
        assert kinds.max() == sum(types[: number + 1]) - 1


# ---- the contract
CASES = [
    pytest.param(tasks, schedule, rule, marks=[pytest.mark.slow] * (schedule not in quick), id=f"{name}-{schedule}")
    for name, tasks, rule, quick in (
        ("arms", ARMS, True, SCHEDULES),
        ("trials", TRIALS, False, ("blocked",)),
        ("outputs", OUTPUTS, True, ("per_lifetime",)),
        ("worlds", WORLDS, True, ("interleaved",)),
        ("bodies", BODIES, False, ()),
    )
    for schedule in SCHEDULES
]


@pytest.mark.parametrize(("tasks", "schedule", "rule"), CASES)
def test_a_task_set_lives_by_the_contract(tasks, schedule, rule):
    made = task_set(tasks, schedule, rule=rule, block=2)
    checks = (describes_itself, is_a_plain_value, blocks_have_their_shape, draws_by_key_alone, splits_by_trials)
    assert [line for check in (*checks, starts_well, lives_one_life) for line in check(made)] == []


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("tasks", [ARMS[:2], TRIALS[:2], OUTPUTS, WORLDS], ids=["arms", "trials", "outputs", "worlds"])
def test_chance_and_the_oracle_are_what_the_spec_says(tasks, schedule):
    made = task_set(tasks, schedule, block=2, trials=40, test_trials=20)
    assert [*random_earns_chance(made), *oracle_earns_ceiling(made)] == []


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rendered_trials_are_those_of_a_life(schedule):
    tasks = task_set([SHORT, ODD], schedule, block=2, trials=5, test_trials=1)
    seen = tasks.rollout(tasks.oracle_policy(), LIVES, 6 * tasks.spec.trial_steps)
    for lane in range(len(LIVES)):
        ends = (seen.info.trial_end[:, lane].nonzero()[:, 0] + 1).tolist()
        assert len(ends) == 6
        for trial, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            batch = tasks.render(LIVES, trial)
            assert torch.equal(seen.observation[start:end, lane], batch.x[: end - start, lane])
            assert torch.equal(seen.info.kind[start:end, lane], batch.kind[lane].expand(end - start))
            assert tasks.judge(batch.y, batch).score[lane] == seen.info.score[end - 1, lane]


def test_a_task_in_a_set_is_the_task_alone_with_its_own_seed():
    tasks = task_set(ARMS, "blocked", block=2)
    block, where = tasks.decisions(LIVES, 0, 13), torch.stack([tasks.task_of(LIVES, t) for t in range(13)])
    for number, task in enumerate(tasks.tasks):
        alone = task.decisions(LIVES, 0, 13, tasks.seed_of(number, 0))
        for lane in range(len(LIVES)):
            mine = where[:, lane] == number
            own = alone.payoff[: int(mine.sum()), lane]
            assert torch.equal(block.payoff[mine, lane, : own.shape[-1]], own)


def test_two_equal_tasks_draw_different_numbers():
    twins = task_set([ARMS[0], ARMS[0]], "sequential", block=6).decisions(LIVES, 0, 12).payoff
    assert not torch.equal(twins[:6], twins[6:])


def test_steps_count_within_trials_and_nothing_counts_after_the_end():
    tasks = task_set([SHORT, ARMS[0]], trials=3, test_trials=1)
    info = tasks.rollout(tasks.oracle_policy(), LIVES, 15).info
    ends = info.trial_end
    within = torch.zeros(len(LIVES), dtype=torch.int64)
    for t in range(int(ends[:, 0].nonzero().max()) + 1):
        assert int(info.step[t, 0]) == int(within[0])
        within = torch.where(ends[t], 0, within + 1)
    over = ends.cumsum(0) - ends.to(torch.int64) == 4
    assert over.any()
    assert not any(field[over].any() for field in (info.best, info.score, info.responded))


def test_individuals_are_judged_side_by_side():
    tasks = task_set(OUTPUTS)
    batch = tasks.render(LIVES, 2)
    outputs = torch.stack((batch.y, batch.y * 0.5, torch.zeros_like(batch.y)), 1)
    together = tasks.judge(outputs, batch)
    for number in range(3):
        assert all(map(torch.equal, tasks.judge(outputs[:, number], batch), (field[number] for field in together)))


def test_a_rate_network_lives_a_set_and_is_judged_by_the_task_that_is_on():
    tasks, key = task_set([SHORT, ODD], "interleaved", trials=4, test_trials=2), rng.fold(rng.root(3), 1)
    network = RateRNN(units=23, tau=100.0, perturbation_rate=0.3, perturbation=4.0)
    parts = (network, Miconi17(eta=0.1), Reward(), Greedy(), RunningAverage(), tasks)
    lives = {"individuals": 2, "lifetime": LIVES, "key": key}
    record = live(*parts, **lives, record=("output", "reward", "kind")).recordings
    for trial in range(6):
        batch = tasks.render(LIVES, trial, key)
        assert torch.equal(tasks.judge(record["output"][trial], batch).reward, record["reward"][trial])
        assert torch.equal(record["kind"][trial], batch.kind)


def test_a_part_of_a_set_keeps_its_layout_and_holds_out_the_test():
    splits = {"train": (0, 2), "test": (1,)}
    whole = task_set(TRIALS, splits=splits)
    train = task_set(TRIALS, splits=splits, split="train")
    test = train.held_out()
    assert whole.layout == train.layout == test.layout
    assert {int(number) for t in range(12) for number in train.task_of(MANY[:50], t).unique()} == {0, 2}
    assert (test.task_of(MANY, 3) == 1).all()
    assert test.spec.chance == train.tasks[1].spec.chance
    assert whole.held_out() == whole
    assert train.shares == (0.5, 0.0, 0.5)


def test_sets_nest_and_are_wrapped():
    inner = {"kind": "TaskSet", "tasks": ARMS[:2], "schedule": "per_lifetime", "rule": False}
    nested = task_set([inner, ARMS[2]], "blocked", block=3)
    checks = (is_a_plain_value, draws_by_key_alone, splits_by_trials, starts_well, lives_one_life)
    assert [line for check in checks for line in check(nested)] == []
    around = make("WithFeedback", task=nested.model_dump())
    assert [line for check in (is_a_plain_value, starts_well, lives_one_life) for line in check(around)] == []


def test_a_copy_has_a_layout_of_its_own():
    tasks = task_set(ARMS)
    assert tasks.layout.observations == 68
    copied = tasks.model_copy(update={"rule": False})
    assert copied.layout.observations == 65
    assert len(pickle.dumps(tasks)) < 3000


def test_vmap_over_lifetimes_is_the_batched_life():
    tasks = task_set([*TRIALS[:2], ARMS[0]], "interleaved")
    lives = torch.arange(6).reshape(3, 2)

    def two_steps(lifetime):
        state, _ = tasks.reset(lifetime)
        state, _ = tasks.step(state, tasks.oracle(state))
        state, seen = tasks.step(state, tasks.oracle(state))
        return seen.observation, seen.reward

    assert all(map(torch.equal, torch.vmap(two_steps)(lives), two_steps(lives)))


def test_a_step_is_one_graph():
    check_one_graph(("TaskSet", {"schedule": "interleaved", "tasks": [SHORT, ARMS[0]], "trials": 3}))


# ---- mistakes
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tasks": [ARMS[0], PULSE]}, ["Bandit-v0 (each)", "DelayNonMatchSample-v0 (readout)", "all by outputs"]),
        ({"tasks": [DOTS, {**DOTS, "dt": 50}]}, ["[50.0, 100.0] ms", "one dt"]),
        ({"tasks": []}, ["at least 1"]),
        ({"tasks": [{"kind": "Bandit"}]}, ["did you mean 'Bandit-v0'?"]),
        ({"tasks": ARMS, "frequencies": (1, 2)}, ["(1, 2)", "wanted 3 whole numbers from 1 on"]),
        ({"tasks": ARMS, "schedule": "sequential", "frequencies": (1, 1, 1)}, ["twice in a stage"]),
        ({"tasks": ARMS, "schedule": "interleaf"}, ["'interleaf'", "did you mean 'interleaved'?"]),
        ({"tasks": ARMS, "stages": [{"tasks": [0], "trials": 3}]}, ["wanted schedule: sequential"]),
        (
            {"tasks": ARMS, "schedule": "sequential", "stages": [{"tasks": [3], "trials": 3}]},
            ["stage 0", "numbers in [0, 3)"],
        ),
        ({"tasks": ARMS, "schedule": "sequential", "stages": UNEVEN}, ["stage 0 has 3 trials", "a multiple of 2"]),
        ({"tasks": ARMS, "splits": {"train": [0, 3]}}, ["splits.train", "numbers in [0, 3)"]),
        ({"tasks": ARMS, "splits": {"train": [0]}, "split": "trian"}, ["'trian'", "did you mean 'train'?"]),
        ({"tasks": [{"kind": "TaskSet", "tasks": ARMS}, ARMS[0]]}, ["channel 'task' already", "rule: false"]),
        ({"preset": "songsett"}, ["'songsett'", "did you mean 'songset'?"]),
    ],
)
def test_mistakes_say_what_was_wanted(settings, words):
    with pytest.raises((ConfigError, ValidationError)) as caught:
        make("TaskSet", **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_cannot_be_drawn_ahead_is_named():
    with pytest.raises(ValueError, match=r"TwoStep-v0 \(act\).*use reset and step"):
        task_set(WORLDS).render(LIVES, 0)
    with pytest.raises(ValueError, match="no block of decisions"):
        task_set(TRIALS).decisions(LIVES, 0, 3)
    with pytest.raises(ValueError, match=r"wanted some in \[0, 13\)"):
        task_set(ARMS).decisions(LIVES, 5, 9)
    with pytest.raises(ValueError, match=r"wanted one in \[0, 13\)"):
        task_set(TRIALS).render(LIVES, 13)
