"""Wrappers: each by hand and by the contract; blocks and closed loop agree; nothing inside changes."""

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from wrapped_tasks import BANDIT, DOTS, LIVES, MATCH, TWO_STEP, rollout, wrapped

from metaplastic import rng
from metaplastic.core import Choice, ConfigError
from metaplastic.platform.catalog import slot
from metaplastic.tasks.base import TensorTask, leaves
from metaplastic.tasks.contract.blocks import blocks_have_their_shape, draws_by_key_alone, splits_by_trials
from metaplastic.tasks.contract.check import describes_itself, is_a_plain_value
from metaplastic.tasks.contract.loop import lives_one_life, starts_well
from metaplastic.tasks.contract.scores import oracle_earns_ceiling, random_earns_chance
from metaplastic.tasks.registry import KINDS, WRAPPERS, make
from metaplastic.tasks.wrappers.autoreset import lifetime_of
from metaplastic.tasks.wrappers.wrapper import bare

BLOCKS = (blocks_have_their_shape, draws_by_key_alone, splits_by_trials)
CASES = [
    ("ActionNoise", {"slip": 0.3}, (BANDIT, TWO_STEP, DOTS)),
    ("ActionNoise", {"sd": 0.2}, (MATCH,)),
    ("InterTrial", {"ms": 100}, (BANDIT, DOTS, MATCH)),
    ("InterTrial", {"ms": {"uniform": [0, 200]}}, (DOTS,)),
    ("ObsDelay", {"steps": 1}, (TWO_STEP, DOTS)),
    ("ObsNoise", {"sigma": 0.7}, (BANDIT, DOTS)),
    ("PermuteChannels", {}, (BANDIT, MATCH)),
    ("RepeatFrame", {"k": 3}, (BANDIT, DOTS, MATCH)),
    ("RewardDelay", {"steps": 2}, (BANDIT, DOTS)),
    ("SpikeEncode", {"rate": 10, "group": 2}, (MATCH, DOTS)),
    ("SpikeEncode", {"code": "threshold", "group": 3}, (BANDIT, MATCH)),
    ("SpikeEncode", {"code": "latency", "window": 100, "group": 2}, (DOTS,)),
    ("Sticky", {"p": 0.4}, (BANDIT, MATCH)),
    ("WithFeedback", {"time": True, "trial_start": True}, (MATCH, DOTS)),
    ("WithRewardPulse", {"ms": 100}, (MATCH, DOTS)),
]
"""every wrapper but `AutoReset`, whose lives do not end"""
BOUNDS = ("ActionNoise", "Sticky")
"""wrappers whose ceiling is a bound that the oracle does not reach"""


def of(kind: str, settings: dict[str, Any], task: dict[str, Any]) -> TensorTask:
    if "ms" in settings and task in (BANDIT, TWO_STEP):
        settings = {**settings, "ms": 3}  # their dt is 1 ms
    return wrapped(kind, task, **settings)


@pytest.mark.parametrize(
    ("kind", "settings", "task"),
    [
        pytest.param(
            kind,
            settings,
            task,
            id=f"{kind}-{settings.get('code', '')}-{task['kind']}",
            marks=[pytest.mark.slow] * (n > 0),
        )
        for kind, settings, tasks in CASES
        for n, task in enumerate(tasks)
    ],
)
def test_a_wrapped_task_lives_by_the_contract(kind, settings, task):
    task = of(kind, settings, task)
    checks = (describes_itself, is_a_plain_value, *BLOCKS, starts_well, lives_one_life)
    assert [line for check in checks for line in check(task)] == []


@pytest.mark.parametrize(("kind", "settings"), [case[:2] for case in CASES if case[0] not in BOUNDS])
@pytest.mark.slow
def test_chance_and_the_oracle_are_what_the_spec_says(kind, settings):
    task = of(kind, settings, TWO_STEP if kind in ("ObsDelay", "RewardDelay", "WithFeedback") else DOTS)
    assert [*random_earns_chance(task), *oracle_earns_ceiling(task)] == []


def test_slips_lower_chance_and_ceiling_as_the_spec_says():
    task = wrapped("InterTrial", wrapped("ActionNoise", BANDIT, slip=0.5).model_dump(), ms=1)
    assert task.spec.ceiling == pytest.approx(0.625)  # half of .75 and half of .5
    assert [*random_earns_chance(task), *oracle_earns_ceiling(task)] == []


NESTED = [
    {"kind": "InterTrial", "ms": 50, "task": {"kind": "SpikeEncode", "task": {"kind": "ObsDelay", "task": DOTS}}},
    {"kind": "RepeatFrame", "task": {"kind": "InterTrial", "ms": {"uniform": [0, 90]}, "task": MATCH}},
    {"kind": "ObsNoise", "task": {"kind": "ObsNoise", "task": {"kind": "PermuteChannels", "task": BANDIT}}},
]


@pytest.mark.parametrize("settings", NESTED, ids=lambda settings: settings["kind"])
def test_wrappers_nest_and_keep_blocks(settings):
    task = KINDS[settings["kind"]].model_validate(settings)
    checks = (*BLOCKS, starts_well, lives_one_life)
    assert [line for check in checks for line in check(task)] == []
    assert pickle.loads(pickle.dumps(task)) == task == type(task).model_validate_json(task.model_dump_json())


def test_wrapping_changes_no_number_of_the_task_inside():
    plain = KINDS["TwoStep-v0"].model_validate(TWO_STEP)
    seen = rollout(plain, 12)
    around = rollout(wrapped("WithFeedback", wrapped("RewardDelay", TWO_STEP).model_dump()), 12)
    assert torch.equal(seen.action, around.action)
    assert torch.equal(seen.observation, around.observation[..., :3])
    assert all(map(torch.equal, leaves(seen.info), leaves(around.info)))


def test_two_wrappers_of_one_kind_draw_different_numbers():
    once = wrapped("ObsNoise", BANDIT, sigma=1.0)
    twice = wrapped("ObsNoise", once.model_dump(), sigma=1.0)
    first = once.decisions(LIVES, 0, 4).observation - 1
    second = twice.decisions(LIVES, 0, 4).observation - 1 - first
    assert not torch.isclose(first, second).any()


def test_length_is_that_of_the_task_inside_and_goes_inwards():
    task = wrapped("WithFeedback", wrapped("RewardDelay", BANDIT).model_dump(), trials=9)
    assert (task.trials, task.task.trials, bare(task).trials, task.test_trials) == (9, 9, 9, 2)
    assert wrapped("PermuteChannels", BANDIT).held_out() == wrapped("PermuteChannels", BANDIT)


def test_nothing_counts_in_a_blank_and_the_task_stands_still():
    task = wrapped("InterTrial", BANDIT, ms=2)
    assert (task.spec.trial_steps, task.spec.response, task.spec.epochs) == (3, "act", ("intertrial", "trial"))
    seen = rollout(task, 24, lambda state, _: torch.ones_like(state.trial))
    assert seen.observation[:, 0, 0].tolist() == [0, 0, 1] * 8
    assert seen.info.trial_end[:, 0].tolist() == [False, False, True] * 8
    assert seen.info.step[:, 0].tolist() == [0, 1, 2] * 8
    assert seen.info.epoch[:, 0].tolist() == [0, 0, 1] * 8
    block = KINDS["Bandit-v0"].model_validate(BANDIT).decisions(LIVES, 0, 8)
    assert torch.equal(seen.reward[2::3], block.payoff[..., 1])
    assert not seen.reward.reshape(8, 3, 5)[:, :2].any()


def test_blanks_are_as_long_as_they_are_drawn():
    task = wrapped("InterTrial", DOTS, ms={"choice": [50, 200]})
    plain = task.task.render(LIVES, 1)
    batch = task.render(LIVES, 1)
    wait = batch.drawn.wait
    assert set(wait.tolist()) == {1, 4}
    for lane in range(5):
        blank = int(wait[lane])
        assert not batch.x[:blank, lane].any()
        assert torch.equal(batch.x[blank:, lane][: len(plain.x)], plain.x[: len(batch.x) - blank, lane])
        assert batch.length[lane] == plain.length[lane] + blank


def test_a_repeated_frame_counts_only_its_last_answer():
    task = wrapped("RepeatFrame", BANDIT, k=3)
    seen = rollout(task, 24, lambda state, _: (state.step == 2).to(torch.int64) * 2)
    block = KINDS["Bandit-v0"].model_validate(BANDIT).decisions(LIVES, 0, 8)
    assert torch.equal(seen.reward[2::3], block.payoff[..., 2])
    assert not seen.reward.reshape(8, 3, 5)[:, :2].any()


def test_every_life_has_an_order_of_its_own_or_all_share_one():
    lives = torch.arange(600)
    plain = KINDS["DelayNonMatchSample-v0"].model_validate(MATCH).render(lives, 0).x
    own = wrapped("PermuteChannels", MATCH).render(lives, 0).x
    assert torch.equal(plain.sum(-1), own.sum(-1))
    places = [own[0, lane].nonzero().flatten().tolist() for lane in range(600)]
    counts = torch.tensor([sum(p == [i] for p in places) for i in range(3)], dtype=torch.float64)
    assert ((counts - 200) ** 2 / 200).sum() < 18.4  # chi-square of 2 degrees, p > 1e-4
    orders = set()
    for number in range(9):
        shared = wrapped("PermuteChannels", MATCH, per_lifetime=False, number=number).render(lives, 0).x
        fits = [
            p
            for p in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
            if torch.equal(shared, plain[..., p])
        ]
        assert len(fits) == 1
        orders.add(tuple(fits[0]))
    assert len(orders) > 2


def test_a_hand_slips_as_often_as_it_should_and_never_twitches():
    lives = torch.arange(3000)
    task = wrapped("ActionNoise", {**BANDIT, "trials": 1, "test_trials": 1}, slip=0.6)
    state, _ = task.reset(lives)
    done = task.acted(state, torch.ones_like(lives))
    share = torch.bincount(done, minlength=3) / 3000
    assert share.tolist() == pytest.approx([0.2, 0.6, 0.2], abs=0.03)
    dots = wrapped("ActionNoise", DOTS, slip=1.0)
    state, _ = dots.reset(lives)
    assert not dots.acted(state, torch.zeros_like(lives)).any()
    assert set(dots.acted(state, torch.ones_like(lives)).tolist()) == {1, 2}
    outputs = wrapped("ActionNoise", MATCH, sd=0.5)
    state, _ = outputs.reset(lives)
    assert outputs.acted(state, torch.ones(3000, 1)).std().item() == pytest.approx(0.5, rel=0.05)


def test_a_sticky_action_is_done_once_more():
    lives = torch.arange(4000)
    task = wrapped("Sticky", BANDIT, p=0.3)
    state, _ = task.reset(lives)
    assert torch.equal(task.acted(state, torch.full_like(lives, 2)), torch.full_like(lives, 2))
    state, _ = task.step(state, torch.full_like(lives, 2))
    assert (task.acted(state, torch.ones_like(lives)) == 2).double().mean().item() == pytest.approx(0.3, abs=0.03)
    trial = wrapped("Sticky", TWO_STEP, p=0.9)
    state, _ = trial.reset(lives)
    for _ in range(2):
        state, _ = trial.step(state, torch.ones_like(lives))
    assert not trial.acted(state, torch.zeros_like(lives)).any()  # forgotten with the trial


def test_late_rewards_are_all_paid_in_the_end():
    task, plain = wrapped("RewardDelay", BANDIT, steps=3), KINDS["Bandit-v0"].model_validate(BANDIT)
    policy = plain.random_policy(LIVES)
    late, soon = rollout(task, 11, policy).reward, rollout(plain, 11, policy).reward
    assert not late[:3].any()
    assert torch.equal(late[3:7], soon[:4])
    assert torch.equal(late[7], soon[4:8].sum(0))
    assert not late[8:].any()


def test_the_next_life_begins_where_one_ends_and_has_its_own_key():
    task = wrapped("AutoReset", BANDIT)
    seen = rollout(task, 20, lambda state, _: torch.ones_like(state.trial))
    plain = bare(task)
    keys = rng.episode_keys(rng.lifetime_keys(0, LIVES), 1)
    assert torch.equal(rng.lifetime_keys(0, lifetime_of(keys)), keys)
    assert torch.equal(lifetime_of(rng.lifetime_keys(0, LIVES)), LIVES)
    lives = [LIVES, *(lifetime_of(rng.episode_keys(rng.lifetime_keys(0, LIVES), k)) for k in (1, 2))]
    wanted = torch.cat([plain.decisions(life, 0, 8).payoff[..., 1] for life in lives])
    assert torch.equal(seen.reward, wanted[:20])
    assert seen.info.trial[:, 0].tolist() == [*range(8), *range(8), *range(4)]


def test_only_lanes_whose_life_is_over_begin_anew():
    task = wrapped("AutoReset", {**DOTS, "trials": 1, "test_trials": 1})
    state, _ = task.reset(LIVES)
    ended = torch.zeros(5, dtype=torch.bool)
    for t in range(60):
        act = torch.where(torch.arange(5) == 2, 1, 0)  # lane 2 aborts at once, the others wait
        state, seen = task.step(state, act)
        assert torch.equal(seen.terminated[2], torch.tensor(t % 2 == 1))
        ended |= seen.terminated
    assert ended.all()
    assert state.kept.over[2] == 30
    assert (state.kept.over[[0, 1, 3, 4]] < 6).all()


# ---- mistakes
@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("WithFeedback", {"task": {**BANDIT, "feedback": True}}, ["previous_action", "already"]),
        ("WithFeedback", {"task": BANDIT, "action": False, "reward": False}, ["shows nothing"]),
        ("WithFeedback", {"task": {"kind": "Bandit"}}, ["'Bandit'", "did you mean 'Bandit-v0'?"]),
        ("WithFeedback", {"task": {"kind": "Bandit-v0", "arms": 1}}, ["arms"]),
        ("WithFeedback", {}, ["task", "required"]),
        ("PermuteChannels", {"task": Choice(BANDIT, TWO_STEP)}, ["goes outside"]),
        ("ObsDelay", {"task": BANDIT}, ["fewer than the 1"]),
        ("ObsNoise", {"task": DOTS, "channels": ["evidense"]}, ["did you mean 'evidence'?"]),
        ("SpikeEncode", {"task": DOTS, "code": "latency", "window": 70}, ["multiple of dt = 50 ms"]),
        ("SpikeEncode", {"task": DOTS, "code": "latenzy"}, ["did you mean 'latency'?"]),
        ("ActionNoise", {"task": DOTS, "sd": 0.2}, ["wanted only slip above 0"]),
        ("InterTrial", {"task": DOTS, "ms": 70}, ["not a multiple of dt = 50"]),
        ("WithRewardPulse", {"task": DOTS, "ms": 70}, ["multiple of dt = 50 ms"]),
        ("WithFeedback", {"task": BANDIT, "trials": 0}, ["trials", "greater than or equal to 1"]),
    ],
)
def test_mistakes_say_what_was_wanted(kind, settings, words):
    with pytest.raises((ConfigError, ValidationError)) as caught:
        make(kind, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_closed_loop_has_no_blocks_and_says_so():
    with pytest.raises(ValueError, match="use reset and step"):
        wrapped("WithFeedback", BANDIT).decisions(LIVES, 0, 3)


def test_the_task_of_an_experiment_may_be_wrapped():
    text = {"kind": "PermuteChannels", "task": {"kind": "DigitsBandit-v0"}, "trials": 7}
    task = slot("task").validate(text)
    assert (task.kind, task.task.kind, task.task.trials) == ("PermuteChannels", "DigitsBandit-v0", 7)
    assert slot("task").validate(task.model_dump()) == task


COMPILED = """
import sys
import torch
from torch._dynamo import config
from metaplastic.tasks.contract.scores import oracle_earns_ceiling, random_earns_chance
from metaplastic.tasks.registry import KINDS

config.error_on_recompile = True
for settings in json.loads(sys.argv[1]):
    torch._dynamo.reset()
    task = KINDS[settings["kind"]].model_validate(settings)
    compiled = torch.compile(task.step, fullgraph=True, dynamic=False, backend="eager")
    state, seen = task.reset(torch.arange(5))
    other, policy = state, task.random_policy(torch.arange(5))
    for _ in range(3):
        answer = policy(state, None)
        (state, seen), (other, wanted) = compiled(state, answer), task.step(other, answer)
        assert torch.equal(seen.observation, wanted.observation), settings
        assert torch.equal(seen.reward, wanted.reward), settings
"""
FOR_THE_COMPILER = [
    *((kind, settings, tasks[0]) for kind, settings, tasks in CASES),
    ("AutoReset", {}, BANDIT),
    ("WithFeedback", {}, {"kind": "PermuteChannels", "task": MATCH}),
]


@pytest.mark.slow
def test_every_wrapper_is_one_graph_for_the_compiler_and_is_not_compiled_again():
    assert {kind for kind, *_ in FOR_THE_COMPILER} == set(WRAPPERS)
    settings = json.dumps([of(*case).model_dump(mode="json") for case in FOR_THE_COMPILER])
    # in a process of its own, because the run-time type checker of the tests breaks graphs
    done = subprocess.run(
        [sys.executable, "-c", "import json\n" + COMPILED, settings],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
