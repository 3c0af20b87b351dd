"""Saccades and anti-saccades: trials by hand, the table, what is earned."""

import pytest
import torch

from metaplastic.tasks.memory.saccade import EPOCHS, FIXATE, LEFT, OVER, RIGHT, SaccadeAntisaccade
from metaplastic.tasks.registry import make

TASK = SaccadeAntisaccade(trials=4, test_trials=1)
LIVES = torch.arange(40)


def played(*actions: int):
    """What first trials show, earn and end with, [T, L]; the kind of each life's trial."""
    state, now = TASK.reset(LIVES, 0)
    kind = state.world.kind
    seen, earned, ended, correct = [now.observation], [], [], []
    for action in actions:
        state, now = TASK.step(state, torch.full_like(LIVES, action))
        seen.append(now.observation)
        earned.append(now.reward)
        ended.append(now.info.trial_end)
        correct.append(now.info.correct)
    return kind, torch.stack(seen), torch.stack(earned), torch.stack(ended), torch.stack(correct)


def test_who_looks_to_the_right_side_in_time_earns_both_rewards():
    kind, seen, earned, ended, correct = played(*[FIXATE] * 6, LEFT)
    assert set(kind.tolist()) == {0, 1, 2, 3}
    wanted = torch.tensor(TASK.automaton.right)[kind]
    assert wanted[kind == 0].unique().tolist() == [LEFT]  # pro left
    assert wanted[kind == 1].unique().tolist() == [RIGHT]
    assert wanted[kind == 2].unique().tolist() == [RIGHT]  # anti, cue left
    assert wanted[kind == 3].unique().tolist() == [LEFT]
    assert torch.allclose(earned[:6].sum(0), torch.tensor(0.2))
    assert torch.allclose(earned[2], torch.tensor(0.2))  # with the cue: blank, first look, held
    assert torch.equal(earned[6], 1.5 * (wanted == LEFT))
    assert ended[6].all()
    assert not ended[:6].any()
    assert torch.equal(correct[6] == 1, wanted == LEFT)
    pro_left = seen[:8, kind == 0][:, 0].tolist()
    mark, cue, none = [1.0, 0, 0, 0], [1.0, 0, 1, 0], [0.0] * 4
    assert pro_left == [none, mark, mark, cue, mark, mark, none, none]


@pytest.mark.parametrize("early", range(2, 6))
def test_who_looks_away_too_early_loses_the_trial(early):
    _, _, earned, ended, correct = played(*[FIXATE] * early, LEFT)
    assert ended[early].all()
    assert (correct[early] == 0).all()
    assert torch.allclose(earned.sum(0), torch.tensor(0.2 if early > 2 else 0.0))


def test_who_never_looks_or_never_moves_loses_the_trial():
    _, _, earned, ended, _ = played(*[LEFT] * 11)
    assert ended[10].all()  # a blank, ten steps of waiting
    assert not ended[:10].any()
    assert (earned == 0).all()
    _, _, earned, ended, _ = played(*[FIXATE] * 14)
    assert ended[13].all()
    assert not ended[:13].any()
    assert torch.allclose(earned.sum(0), torch.tensor(0.2))


def test_the_table_leads_from_the_blank_to_the_end():
    table = TASK.automaton
    assert [EPOCHS[index] for index in sorted(set(table.epoch))] == list(EPOCHS)
    assert len(table.epoch) == TASK.spec.trial_steps == 23
    for place, row in enumerate(table.follows):
        assert all(after == OVER or after > place for after in row)
    assert sum(map(sum, table.earns)) == 0.2


def test_without_shaping_only_the_saccade_pays():
    task = make("SaccadeAntisaccade-v0", preset="rombouts15_no_shaping")
    assert isinstance(task, SaccadeAntisaccade)
    assert sum(map(sum, task.automaton.earns)) == 0
    assert task.spec.chance == pytest.approx((1 - (2 / 3) ** 10) / 81 * (1 - 3.0**-8) / 2)
