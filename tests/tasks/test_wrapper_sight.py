"""Wrappers that change what is seen, each by hand: feedback, noise, delays, spikes."""

import pytest
import torch
from wrapped_tasks import BANDIT, DOTS, LIVES, TWO_STEP, rollout, wrapped

KEY = torch.zeros(1, dtype=torch.int64)


# ---- by hand
def test_feedback_shows_the_last_action_reward_time_and_a_trials_start():
    task = wrapped("WithFeedback", TWO_STEP, time=True, trial_start=True)
    assert task.spec.channels["previous_action"] == (3, 5)
    assert task.spec.channels["trial_start"] == (7, 8)
    seen = rollout(task, 12)
    shown = seen.observation
    assert shown[0, :, 3:].tolist() == [[0, 0, 0, 0, 1]] * 5
    for t in range(1, 12):
        assert torch.equal(shown[t, :, 3:5].argmax(-1), seen.action[t - 1])
        assert torch.equal(shown[t, :, 5], seen.reward[t - 1])
        assert torch.allclose(shown[t, :, 6], torch.full((5,), t / 12))
        assert shown[t, 0, 7] == (t % 2 == 0)


def test_a_pulse_shows_the_reward_of_a_trial_after_it():
    task = wrapped("WithRewardPulse", {**TWO_STEP, "common": 1.0, "good": 1.0, "bad": 0.0}, ms=1)
    shown = rollout(task, 8, task.oracle_policy()).observation[..., -1]
    assert shown[:, 0].tolist() == [0, 0, 1, 0, 1, 0, 1, 0]
    longer = wrapped("WithRewardPulse", {**TWO_STEP, "common": 1.0, "good": 1.0, "bad": 0.0}, ms=2)
    assert rollout(longer, 8, longer.oracle_policy()).observation[..., -1][:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_noise_has_its_size_at_every_dt_and_only_where_it_is_asked_for():
    lives = torch.arange(4000)
    for dt in (10, 50):
        task = wrapped("ObsNoise", {**DOTS, "dt": dt, "sigma": 0.0}, sigma=2.0, channels=["evidence"])
        noise = task.render(lives, 0).x[:2] - task.task.render(lives, 0).x[:2]
        assert not noise[..., 0].any()
        assert noise[..., 1:].std().item() == pytest.approx(2 / dt**0.5, rel=0.02)


def test_a_delayed_frame_comes_late_and_nothing_comes_before_it():
    task = wrapped("ObsDelay", DOTS, steps=3)
    plain, late = task.task.render(LIVES, 1), task.render(LIVES, 1)
    assert not late.x[:3].any()
    within = (torch.arange(len(late.x))[:, None] < late.length)[3:, :, None]
    assert torch.equal(late.x[3:], plain.x[:-3] * within)


def test_bernoulli_spikes_come_at_their_rate():
    task = wrapped("SpikeEncode", {**DOTS, "sigma": 0.0}, rate=8.0, group=2)
    lives = torch.arange(5000)
    x, spikes = task.task.render(lives, 0).x[:3], task.render(lives, 0).x[:3]
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    assert task.spec.channels == {"fixation": (0, 2), "evidence": (2, 6)}
    assert spikes[:2, :, :2].mean().item() == pytest.approx(0.4, abs=0.015)  # 8 Hz x 1 x 50 ms
    assert not spikes[:2, :, 2:].any()
    share = (0.4 * x[2]).repeat_interleave(2, -1)
    assert spikes[2].mean().item() == pytest.approx(share.mean().item(), abs=0.01)


def test_a_latency_spike_comes_the_sooner_the_larger_the_number():
    task = wrapped("SpikeEncode", BANDIT, code="threshold", group=2).model_copy(update={"code": "latency", "window": 4})
    x = torch.tensor([[1.0, 0.74, 0.26, 0.01, 0.0]]).expand(8, 5)[:, None, :]
    spikes = task.see(x, KEY, torch.zeros(8, 1, dtype=torch.int64), torch.arange(8)[:, None])
    when = [spikes[:, 0, 2 * i].nonzero().flatten().tolist() for i in range(5)]
    assert when == [[0, 4], [1, 5], [2, 6], [3, 7], []]


def test_threshold_cells_fire_when_a_level_is_crossed():
    task = wrapped("SpikeEncode", BANDIT, code="threshold", group=2)  # levels .25 and .75
    x = torch.tensor([0.5, 1.0, 0.8, 0.3, 0.0])[:, None, None]
    assert task.see_trial(x, KEY, KEY, KEY)[:, 0].tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 0],
    ]
