"""Trials answered by an action: what an early, a late, a held and no answer earn, step by step and as a whole."""

from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pytest
import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, TaskSpec
from metaplastic.tasks.base import leaves, one_hot
from metaplastic.tasks.choices import ChoiceTask, pick
from metaplastic.tasks.contract.check import ContractError, check_task
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.epochs import When
from metaplastic.tasks.registry import make


class Sides(NamedTuple):
    side: Tensor


TIMING = {"cue": Duration.read(40), "wait": Duration.read(20), "go": Duration.read(60)}


class GoNoGo(ChoiceTask):
    """Left, right or none, shown for 40 ms; an answer is due 20 ms later, for 60 ms."""

    epochs = ("cue", "wait", "go")
    responses = ("go",)
    noisy = ("cue",)
    presets = MappingProxyType({})
    kind: Literal["GoNoGo-v0"] = "GoNoGo-v0"
    timing: dict[str, Duration] = TIMING
    fault: str = ""

    @property
    def spec(self) -> TaskSpec:
        return self.describe_choice(
            {"go": 1, "cue": 3},
            ("hold", "left", "right"),
            trial_types=3,
            chance=1 / 3,
            ceiling=1.0,
            criterion=0.9,
        )

    def answers(self) -> tuple[int, ...]:
        return (0, 1, 2)

    def sample_trial(self, key: Tensor, life: Any, trial: Tensor) -> tuple[Tensor, Sides]:
        del life, trial
        side = rng.below(rng.word(key, 0), 3)
        return side, Sides(side)

    def mean_input(self, conditions: Sides, when: When) -> Tensor:
        go = self.within(when.epoch, ("go",)) if self.fault != "no cue" else torch.zeros_like(when.epoch) > 1
        cue = one_hot(conditions.side.expand(when.epoch.shape), 3) * (when.epoch == 0)[..., None]
        return torch.cat((go[..., None].float(), cue), -1)

    def label(self, conditions: Sides) -> Tensor:
        return conditions.side

    def answer(self, conditions: Sides, action: Tensor, when: When) -> Any:
        verdict = super().answer(conditions, action, when)
        if self.fault == "sure":  # any answer in the last step pays 2
            return verdict._replace(reward=torch.where(when.since == 2, 2.0, verdict.reward))
        return verdict


LIVES = torch.arange(60)


def task(**settings: Any) -> GoNoGo:
    return GoNoGo(trials=3, test_trials=1, **settings)


def lanes_with(side: int) -> Tensor:
    return LIVES[task().drawn(LIVES, 0).values.conditions.side == side][:3]


def lived(some: GoNoGo, lanes: Tensor, actions: list[int]) -> tuple[list[float], list[bool]]:
    """Rewards of a sequence of actions in the first trial, and where it ended, in the first lane."""
    state, _ = some.reset(lanes)
    rewards, ends = [], []
    for action in actions:
        state, seen = some.step(state, torch.full_like(lanes, action))
        rewards.append(seen.reward[0].item())
        ends.append(bool(seen.info.trial_end[0]))
    return rewards, ends


@pytest.mark.parametrize(
    ("side", "settings", "actions", "rewards", "ends_at"),
    [
        (1, {}, [0, 0, 0, 1], [0, 0, 0, 1], 3),  # right, at once when due
        (1, {}, [0, 0, 0, 0, 2], [0, 0, 0, 0, 0], 4),  # wrong
        (1, {}, [0, 1], [0, -1], 1),  # early: the trial is over
        (1, {}, [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, -1], 5),  # none
        (0, {}, [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], 5),  # none was right
        (0, {}, [0, 0, 0, 2], [0, 0, 0, 0], 3),  # none was right
        (1, {"rewards": "neurogym", "early": "penalise"}, [2, 1, 0, 1], [-0.1, -0.1, 0, 1], 3),
        (1, {"early": "ignore"}, [2, 1, 0, 1], [0, 0, 0, 1], 3),
        (1, {"rewards": "signed"}, [0, 0, 0, 2], [0, 0, 0, -1], 3),
        (2, {"hold": 2}, [0, 2, 0, 2, 1, 2], [0, 0, 0, 0, 0, -1], 5),  # never twice in a row: no answer
        (2, {"hold": 2}, [0, 2, 0, 1, 2, 2], [0, 0, 0, 0, 0, 1], 5),
        (2, {"hold": 2}, [0, 0, 2, 2], [0, 0, 0, 1], 3),  # the second of two equal ones is in time
        (2, {"hold": 2}, [2, 2], [0, -1], 1),
        (1, {"rewards": {"correct": 3, "error": -2, "early": -4, "omission": -5}}, [0, 0, 0, 1], [0, 0, 0, 3], 3),
    ],
)
def test_what_a_sequence_of_actions_earns(side, settings, actions, rewards, ends_at):
    some, lanes = task(**settings), lanes_with(side)
    got, ends = lived(some, lanes, actions)
    assert got == pytest.approx(rewards)
    assert ends == [step == ends_at for step in range(len(actions))]
    padded = torch.tensor([*actions, *[0] * (6 - len(actions))])
    output = one_hot(padded, 3)[:, None].expand(6, len(lanes), 3)
    batch = some.render(lanes, 0)
    assert some.judge(output, batch).reward.tolist() == pytest.approx([sum(rewards)] * len(lanes))
    both = some.judge(torch.stack((output, output * 2), 1), batch)  # [T, P, L, A]
    assert both.reward.flatten().tolist() == pytest.approx([sum(rewards)] * 2 * len(lanes))


def test_the_next_trial_starts_where_an_early_answer_ended_one():
    some = task()
    lanes = lanes_with(2)
    state, _ = some.reset(lanes)
    state, seen = some.step(state, torch.ones_like(lanes))
    assert seen.info.trial_end.all()
    assert state.trial.tolist() == [1, 1, 1]
    assert torch.equal(seen.observation, some.render(lanes, 1).x[0])


@pytest.mark.parametrize("settings", [{}, {"hold": 2}, {"early": "penalise", "rewards": "neurogym"}, {"sigma": 3.0}])
def test_the_contract_holds(settings):
    check_task(task(**settings))


def test_an_answer_that_nothing_announces_is_a_complaint():
    with pytest.raises(ContractError, match="nothing on the screen says so"):
        check_task(task(fault="no cue"))


def test_a_policy_that_beats_the_oracle_is_a_complaint():
    with pytest.raises(ContractError, match="earns more than the oracle"):
        check_task(task(fault="sure"))


def test_a_step_in_place_is_a_step():
    some, lanes = task(), torch.arange(7)
    state, seen = some.reset(lanes)
    plain = [leaf.clone() for leaf in leaves(some.step(state, lanes % 3))]
    places = [leaf.data_ptr() for leaf in leaves(state)]
    some.step_(state, seen, lanes % 3)
    assert all(map(torch.equal, leaves((state, seen)), plain))
    assert [leaf.data_ptr() for leaf in leaves(state)] == places


def test_an_unknown_scheme_of_rewards_names_a_near_miss():
    with pytest.raises(ValueError, match="did you mean 'song17'"):
        task(rewards="song71")
    with pytest.raises(ConfigError, match="rewards"):
        make("PerceptualDecisionMaking-v0", rewards="sung")


def test_pick_takes_one_column_whatever_axes_lead():
    table = torch.arange(6.0).reshape(2, 3)
    index = torch.tensor([[0, 2], [1, 0], [2, 2]])
    assert pick(table, index).tolist() == [[0, 5], [1, 3], [2, 5]]
