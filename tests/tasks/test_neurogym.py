"""NeuroGym's tasks as ours: seeds, first frames, alignment, channels, ground truth, no-go trials.

NeuroGym pins gymnasium < 1, so all but the last tests run in an environment of its own: `make neurogym`.
"""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from small_search import small
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.adapters.neurogym_life import named_channels
from metaplastic.tasks.adapters.neurogym_task import NeuroGymTask
from metaplastic.tasks.adapters.stateful import SEED_BITS, Lived
from metaplastic.tasks.base import Rollout
from metaplastic.tasks.registry import make
from metaplastic.tasks.scoring import score_of

needs_neurogym = pytest.mark.skipif(
    importlib.util.find_spec("neurogym") is None, reason="NeuroGym has an environment of its own: run `make neurogym`"
)
LIVES = torch.tensor([4, 0, 11])
UNSEEDED = {"DawTwoStep-v0"}
"""whose constructors draw"""


def theirs(environment: str, **settings) -> NeuroGymTask:
    return NeuroGymTask(environment=environment, **settings)


def ids() -> list[str]:
    if importlib.util.find_spec("neurogym") is None:
        return ["GoNogo-v0"]
    from neurogym.envs.registration import ALL_EXTENDED_ENVS  # pyright: ignore[reportMissingImports]

    return sorted(set(ALL_EXTENDED_ENVS) - {"AnnubesEnv-v0"})  # which cannot be made without settings


def right(state: Lived, _: Tensor) -> Tensor:
    """The policy that plays the ground truth of what is seen, straight from the environments."""
    played = [life.core.gt_now for life in state.worlds.lives]  # pyright: ignore[reportAttributeAccessIssue]
    given = state.worlds.answers.ours(np.stack(played))
    return torch.from_numpy(given).to(torch.float32 if given.ndim > 1 else torch.int64)


def lived(task: NeuroGymTask, steps: int, seed: int = 0) -> Rollout:
    return task.rollout(task.random_policy(LIVES, seed), LIVES, steps, seed)


@needs_neurogym
@pytest.mark.parametrize("id", ids())
def test_every_task_describes_itself_and_lives_the_same_life_again(id):
    task = theirs(id, trials=3)
    spec = task.spec
    assert sorted(spec.channels.values())[0][0] == 0
    assert sum(end - first for first, end in spec.channels.values()) == spec.observations
    first, again, other = lived(task, 40), lived(task, 40), lived(task, 40, seed=1)
    assert first.observation.shape == (40, 3, spec.observations)
    for part in ("observation", "reward", "action"):
        same = torch.equal(getattr(first, part), getattr(again, part))
        assert same or id in UNSEEDED, part
    assert not torch.equal(first.action, other.action) or spec.actions == 1


@needs_neurogym
def test_a_life_is_seeded_by_its_key_and_shows_frame_0():
    task = theirs("PerceptualDecisionMaking-v0", settings={"dt": 50})
    state, now = task.reset(LIVES, seed=9)
    seed = int(rng.parameter_keys(rng.lifetime_keys(9, LIVES))[2] & SEED_BITS)
    peer = task.made().unwrapped
    peer.seed(seed)
    peer.new_trial()
    assert task.spec.dt == 50
    for t in range(len(peer.ob)):
        assert now.observation[2].tolist() == peer.ob[t].tolist(), t
        state, now = task.step(state, torch.zeros(3, dtype=torch.int64))
        assert now.info.target[2] == peer.gt[t]
        assert task.spec.epochs[int(now.info.epoch[2])] in ("fixation", "stimulus", "delay", "decision")
        assert (task.spec.epochs[int(now.info.epoch[2])] == "decision") == (peer.gt[t] > 0)
    assert now.info.trial_end[2]
    peer.new_trial()
    assert now.observation[2].tolist() == peer.ob[0].tolist()


@needs_neurogym
def test_a_life_depends_on_no_other():
    task = theirs("DelayMatchSample-v0", trials=4)
    policy = task.random_policy(LIVES[1:2])
    alone = task.rollout(policy, LIVES[1:2], 60)
    assert torch.equal(alone.reward[:, 0], lived(task, 60).reward[:, 1])
    assert torch.equal(alone.observation[:, 0], lived(task, 60).observation[:, 1])


@needs_neurogym
@pytest.mark.parametrize(
    ("id", "steps"),
    [("GoNogo-v0", 180), ("DelayPairedAssociation-v0", 540), ("yang19.dms-v0", 380), ("yang19.dnmc-v0", 380)],
)
def test_who_plays_the_ground_truth_is_always_right_also_where_nothing_is_to_be_done(id, steps):
    task = theirs(id, trials=12)
    rollout = task.rollout(right, LIVES, steps)
    ends = rollout.info.trial_end
    assert ends.sum(0).tolist() == [12] * 3
    assert (rollout.info.score[ends] == 1).all()
    assert (rollout.info.correct[ends] == 1).all()
    nothing = _trials_without_answer(rollout)
    assert 0.2 < nothing / 36 < 0.8  # about half are no-go trials
    assert score_of(task, rollout).accuracy.tolist() == [1.0] * 3


def _trials_without_answer(rollout: Rollout) -> int:
    count = 0
    for lane in range(3):
        answered = False
        for action, over in zip(rollout.action[:, lane], rollout.info.trial_end[:, lane], strict=True):
            answered |= bool(action > 0)
            if over:
                count += not answered
                answered = False
    return count


@needs_neurogym
def test_a_no_go_trial_with_an_answer_is_wrong():
    task = theirs("GoNogo-v0", trials=12)
    rollout = task.rollout(lambda *_: torch.ones(3, dtype=torch.int64), LIVES, 180)
    ends = rollout.info.trial_end
    rewards = rollout.reward[ends]
    assert set(rollout.info.score[ends].tolist()) == {0.0, 1.0}
    assert torch.equal(rollout.info.score[ends] == 1, rewards == 1)


@needs_neurogym
def test_channels_actions_and_rewards_have_their_names():
    spec = theirs("ContextDecisionMaking-v0").spec
    assert list(spec.channels) == ["fixation", "stim1_mod1", "stim2_mod1", "stim1_mod2", "stim2_mod2"]
    assert spec.action_names == ("fixation", "choice1", "choice2")
    assert spec.reward_range == (-0.1, 1.0)
    channels = theirs("yang19.go-v0").spec.channels  # NeuroGym names one of the two modalities
    assert channels == {"fixation": (0, 1), "stimulus": (1, 17), "unnamed": (17, 33)}


@needs_neurogym
def test_outputs_reach_a_box_and_its_ground_truth_comes_back():
    task = theirs("ReachingDelayResponse-v0", trials=5)
    assert (task.spec.response, task.spec.actions) == ("control", 2)
    rollout = task.rollout(right, LIVES, 150)
    ends = rollout.info.trial_end
    assert ends.sum(0).tolist() == [5] * 3
    assert (rollout.info.score[ends] == 1).all()
    assert torch.equal(
        rollout.action, rollout.info.target.to(torch.float32).where(~rollout.info.target.isnan(), rollout.action)
    )


@needs_neurogym
def test_a_schedule_of_environments_shows_the_first_frame_of_the_next(monkeypatch):
    import gymnasium
    import neurogym  # pyright: ignore[reportMissingImports]
    from neurogym.utils.scheduler import RandomSchedule  # pyright: ignore[reportMissingImports]
    from neurogym.wrappers import ScheduleEnvs  # pyright: ignore[reportMissingImports]

    module = types.ModuleType("mixed_environments")
    names = ["PerceptualDecisionMaking-v0", "DelayMatchSample-v0", "DelayMatchCategory-v0"]
    module.mixed = lambda: ScheduleEnvs([neurogym.make(name) for name in names], RandomSchedule(3), env_input=True)  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "mixed_environments", module)
    if "Mixed-v0" not in gymnasium.registry:
        gymnasium.register("Mixed-v0", "mixed_environments:mixed")
    task = theirs("Mixed-v0", trials=8)
    assert task.spec.observations == 6
    rollout = task.rollout(right, LIVES, 250)
    again = task.rollout(right, LIVES, 250)
    assert torch.equal(rollout.observation, again.observation)
    going = rollout.info.weight == 1
    cue = rollout.observation[..., 3:]
    assert (cue.sum(-1)[going] == 1).all()
    begins = going & (rollout.info.step == 0)
    assert (rollout.observation[..., 0][begins] == 1).all()  # fixation is on in the first frame
    within = going[1:] & ~begins[1:]
    assert torch.equal(cue[1:][within], cue[:-1][within])  # one environment a trial
    assert (rollout.info.score[rollout.info.trial_end] == 1).all()


@needs_neurogym
def test_whole_trials_are_those_that_are_lived(tmp_path):
    task = theirs("DelayComparison-v0", trials=4)
    batch = task.as_batch(4, lifetime=11, seed=2, folder=tmp_path)
    rollout = task.rollout(right, LIVES, 120, seed=2)
    assert batch.length is not None
    start = 0
    for trial, length in enumerate(batch.length.tolist()):
        seen = slice(start, start + length)
        assert torch.equal(batch.x[:length, trial], rollout.observation[seen, 2])
        assert torch.equal(batch.y[:length, trial].argmax(-1), rollout.info.target[seen, 2])
        assert torch.equal(batch.epoch[:length, trial], rollout.info.epoch[seen, 2])
        assert (batch.w[:, trial] == 1).sum() == length
        start += length if rollout.info.trial_end[start + length - 1, 2] else 0
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1
    again = task.as_batch(4, lifetime=11, seed=2, folder=tmp_path)
    assert all(torch.equal(getattr(batch, part), getattr(again, part)) for part in ("x", "y", "w", "epoch", "length"))
    assert list(tmp_path.iterdir()) == kept
    assert not torch.equal(task.as_batch(4, lifetime=11, seed=3).x[:, 0], batch.x[:, 0])


@needs_neurogym
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theirs("GoNoGo-v0").spec, ["environment: GoNoGo-v0 cannot be made", "GoNogo"]),
        (lambda: theirs("AnnubesEnv-v0").spec, ["AnnubesEnv-v0 cannot be made", "session"]),
        (lambda: theirs("Bandit-v0").as_batch(3), ["Bandit-v0 gives no ground truth"]),
    ],
)
def test_mistakes_say_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_without_neurogym_it_is_said_where_it_lives(monkeypatch):
    monkeypatch.setitem(sys.modules, "neurogym", None)
    task = make("NeuroGymTask", environment="GoNogo-v0")
    with pytest.raises(ConfigError, match=r"NeuroGymTask needs neurogym .* environment of their own: `make neurogym`"):
        _ = task.spec


def test_experiments_say_that_no_network_lives_it():
    with pytest.raises(ConfigError, match="task NeuroGymTask runs outside of tensors"):
        small("task={kind: NeuroGymTask, environment: GoNogo-v0}")


def test_names_that_overlap_give_the_finest_channels_and_gaps_their_own():
    names = {"fixation": 0, "all": range(1, 5), "left": [1, 2], "right": [3, 4]}
    assert named_channels(names, 5) == {"fixation": (0, 1), "left": (1, 3), "right": (3, 5)}
    assert named_channels({"a": 1, "b": [3]}, 5) == {
        "unnamed": (0, 1),
        "a": (1, 2),
        "unnamed1": (2, 3),
        "b": (3, 4),
        "unnamed2": (4, 5),
    }
    assert named_channels({"a": [0, 2], "b": [1]}, 3) == {"observation": (0, 3)}
    assert named_channels({}, 2) == {"observation": (0, 2)}
