"""The inferred-value study: planted critics that infer or do not, what counts as what, and the page."""

import numpy as np
import pytest
import torch

from metaplastic.studies.dopamine import inferred_value
from metaplastic.studies.dopamine.inferred_value import (
    InferredValueStudy,
    Trials,
    coded,
    contrast,
    signals,
    tabular,
    trials_of,
)
from metaplastic.studies.study import Run, read_result, run_study
from metaplastic.tasks.bandits.inferred_value import InferredValue

TRIALS, EPISODES = 40, 200


def lived():
    """Targets and rewarded targets of the task itself, every answer right."""
    task = InferredValue(trials=TRIALS)
    state, now = task.reset(torch.arange(EPISODES))
    rows = []
    for _ in range(TRIALS):
        rows.append((state.world.target.numpy(), state.world.rewarded.numpy()))
        for _ in (1, 2):
            state, now = task.step(state, now.info.target)
    target, rewarded = (np.stack(row) for row in zip(*rows, strict=True))
    blank = np.zeros(target.shape)
    return Trials(target, rewarded, blank, blank, (target == rewarded).astype(float))


def before(values):
    return np.concatenate((values[:1], values[:-1]))


def test_a_critic_that_infers_has_the_new_sign_and_a_table_the_old_one():
    seen = lived()
    knows = np.where(seen.target == before(seen.rewarded), 0.4, -0.4)
    found = signals(seen._replace(cue=knows))
    assert found.stable == pytest.approx((0.4, -0.4))
    assert found.experienced == pytest.approx((0.4, -0.4))
    assert found.inferred == pytest.approx((0.4, -0.4))
    table = tabular(seen, 0.9)
    assert contrast(table.stable) > 0.2
    assert contrast(table.inferred) < -0.2
    assert contrast(table.experienced) > 0


def test_outcomes_are_split_by_reversals():
    seen = lived()
    surprise = np.where(seen.reversal, -0.9, 0.03)
    found = signals(seen._replace(outcome=surprise))
    assert found.outcome_reversal == pytest.approx(0.9)
    assert found.outcome_stable == pytest.approx(0.03)


def test_the_first_trial_is_no_reversal_and_ends_are_left_out():
    seen = lived()
    assert not seen.reversal[0].any()
    assert seen.reversal.any()
    assert not seen.kept[: inferred_value.FIRST].any()
    assert not seen.kept[-inferred_value.LAST :].any()
    assert seen.kept[inferred_value.FIRST : -inferred_value.LAST].all()


def test_the_error_of_the_cue_is_that_of_the_fixation_step():
    draw = np.random.default_rng(0)
    shape = 2 * TRIALS, 2, 3
    names = ("rpe", "reward", "latent.world.target", "latent.world.rewarded")
    arrays = {name: draw.standard_normal(shape) for name in names}
    seen = trials_of(arrays, 1)
    assert np.array_equal(seen.cue, arrays["rpe"][::2, 1])
    assert np.array_equal(seen.outcome, arrays["rpe"][1::2, 1])
    assert np.array_equal(seen.reward, arrays["reward"][1::2, 1])


def test_a_planted_side_is_decoded_and_flips_after_the_reversal_and_noise_is_not():
    seen, draw = lived(), np.random.default_rng(0)
    noise = draw.standard_normal((TRIALS, EPISODES, 5))
    side = np.where(before(seen.rewarded) == 2, 1.0, -1.0)
    found = coded(0.2 * noise + side[..., None] * np.array([1, -1, 0, 0, 0]), seen)
    assert min(found) > 0.99
    assert coded(noise, seen).plane < 0.6
    late = np.where(before(before(seen.rewarded)) == 2, 1.0, -1.0)
    slow = coded(0.2 * noise + late[..., None] * np.array([1, -1, 0, 0, 0]), seen)
    assert slow.after < 0.1


def test_the_page_is_written_with_a_row_for_every_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(inferred_value, "UPDATES", 40)
    monkeypatch.setattr(inferred_value, "BATCH", 3)
    torch.set_num_threads(1)
    run = Run(tmp_path / "out", seeds=2, scale="quick", say=lambda _: None)
    result = run_study(InferredValueStudy(), run)
    assert {"page.html", "errors.png", "states.svg", "training.png"} <= {path.name for path in run.out.iterdir()}
    kept = read_result(run.out)
    assert len(kept["claims"]) == len(result.claims) == 19
    assert len(kept["numbers"]["seeds"]) == 2
    assert not result.holds
    assert result.claims[-1].within


@pytest.mark.slow
def test_trained_agents_infer(tmp_path):
    result = run_study(InferredValueStudy(), Run(tmp_path / "out", seeds=2))
    assert result.holds, [claim for claim in result.claims if claim.within is False]
