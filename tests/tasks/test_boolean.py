"""The Boolean tasks of Miconi 2023: truth tables, a trial by hand, the loop of the feedback, what is held out."""

import itertools

import pytest
import torch
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.tasks.base import Rollout
from metaplastic.tasks.memory.boolean import HELD_OUT, MICONI23, TRAINED, TRUTH, AnyBoolean, BooleanTask
from metaplastic.tasks.registry import make

LIVES = torch.arange(5)
MANY = torch.arange(20_000)

MEANING = {
    "and": lambda a, b: a and b,
    "nand": lambda a, b: not (a and b),
    "or": lambda a, b: a or b,
    "nor": lambda a, b: not (a or b),
    "01": lambda a, b: not a and b,
    "anti01": lambda a, b: not (not a and b),
    "10": lambda a, b: a and not b,
    "anti10": lambda a, b: not (a and not b),
    "watchstim1": lambda a, _: a,
    "antiwatchstim1": lambda a, _: not a,
    "watchstim2": lambda _, b: b,
    "antiwatchstim2": lambda _, b: not b,
    "dms": lambda a, b: a == b,
    "dnms": lambda a, b: a != b,
}
PAIRS = list(itertools.product((False, True), repeat=2))


def boolean(name: str, preset: str | None = None, **settings) -> BooleanTask:
    task = make(f"miconi23.{name}-v0", preset=preset, **settings)
    assert isinstance(task, BooleanTask)
    return task


def p_value(counts: Tensor, expected: float) -> float:
    statistic = ((counts - expected) ** 2 / expected).double().sum()
    return float(torch.special.gammaincc(torch.tensor((counts.numel() - 1) / 2.0).double(), statistic / 2))


def live(task: BooleanTask, outputs: tuple[float, float] = (0.9, 0.1), steps: int = 100) -> Rollout:
    """Every step gives the same outputs."""
    return task.rollout(lambda state, _: torch.tensor(outputs).expand(*state.key.shape, 2), LIVES, steps)


@pytest.mark.parametrize("name", MEANING)
def test_truth_tables(name):
    assert TRUTH[name] == tuple(int(MEANING[name](a, b)) for a, b in PAIRS)


def test_the_fourteen_are_all_functions_of_two_stimuli_but_the_constant_ones():
    assert len(set(TRUTH.values())) == 14
    assert {(0, 0, 0, 0), (1, 1, 1, 1)}.isdisjoint(TRUTH.values())
    assert set(MICONI23) == {f"miconi23.{name}-v0" for name in (*TRUTH, "any")}


@pytest.mark.parametrize("name", MEANING)
def test_the_oracle_gives_the_value_of_the_function(name):
    task = boolean(name)
    state, _ = task.reset(torch.arange(61))
    wanted = torch.tensor([MEANING[name](*PAIRS[pair]) for pair in state.world.pair.tolist()])
    assert torch.equal(task.oracle(state)[:, 1] > 0.5, wanted)
    assert set(task.oracle(state).flatten().mul(10).round().int().tolist()) == {1, 9}


def test_the_published_mistakes_are_two_and_can_be_had():
    for name in TRUTH:
        right, published = (boolean(name, published_quirks=quirks) for quirks in (False, True))
        tables = [task.reset(LIVES[:1])[0].life.table[0].tolist() for task in (right, published)]
        if name == "anti10":
            assert tables == [[1, 1, 0, 1], [0, 0, 1, 0]]
        elif name == "nor":  # 1 - s1 + s2, cut to [0, 1]
            assert tables == [[1, 0, 0, 0], [1, 1, 0, 1]]
        else:
            assert tables[0] == tables[1]


@pytest.mark.parametrize("signal", ["reward", "error"])
def test_a_trial_by_hand(signal):
    task = boolean("watchstim1", signal=signal)
    seen = live(task)
    for trial, lane in itertools.product((0, 1), range(5)):
        x = seen.observation[50 * trial : 50 * trial + 50, lane]
        pair = int(seen.info.kind[50 * trial, lane])
        s1, s2 = (6.0 * bit - 3 for bit in divmod(pair, 2))
        assert x[:, 0].tolist() == [s1] * 8 + [0] * 2 + [s2] * 8 + [0] * 32
        assert torch.equal(x[:, 1], -x[:, 0])
        is_right = pair < 2  # false is given
        told = {"reward": 3.0 if is_right else -3.0, "error": 0.0 if is_right else 3 * 2 * 0.64}[signal]
        feedback = torch.zeros(50)
        feedback[36:46] = 1.0
        assert torch.allclose(x[:, 2], feedback * told, atol=1e-5)
        assert torch.equal(x[:, 2], x[:, 3])
        assert torch.equal(x[:, 4], 3 * feedback)
        assert not x[:, 5].any()
        assert x[:, 6].eq(1).all()


@pytest.mark.parametrize(("signal", "right", "wrong"), [("reward", 1.0, -1.0), ("error", 0.0, -1.28)])
def test_it_is_paid_once_as_the_feedback_begins(signal, right, wrong):
    seen = live(boolean("watchstim2", signal=signal), steps=50)
    value = seen.info.kind[0] % 2
    paid = seen.reward.nonzero()[:, 0]
    assert set(paid.tolist()) == {35}
    assert torch.allclose(seen.reward[35], torch.where(value == 0, right, wrong), atol=1e-5)
    assert torch.equal(seen.info.score[49], (value == 0).float())
    assert torch.equal(seen.info.correct[49].long(), (value == 0).long())


def test_only_the_response_window_counts():
    task = boolean("and")

    def late(state, _: Tensor) -> Tensor:  # true outside the window, false inside it
        inside = (state.step >= 25) & (state.step < 35)
        return torch.stack((inside.float(), (~inside).float()), -1)

    seen = task.rollout(late, LIVES, 50)
    assert torch.equal(seen.info.score[49], (seen.info.kind[0] != 3).float())
    assert seen.observation[36, :, 4].eq(3).all()


def test_epochs_and_types_are_told():
    seen = live(boolean("or"), steps=50)
    widths = [8, 2, 8, 7, 10, 1, 10, 4]
    assert seen.info.epoch[:, 0].tolist() == [part for part, width in enumerate(widths) for _ in range(width)]
    assert torch.equal(seen.info.kind, seen.info.kind[:1].expand(50, 5))


def test_a_life_has_one_function_and_lives_differ():
    task = boolean("any")
    state, _ = task.reset(MANY)
    tables = state.life.table.long() @ torch.tensor([8, 4, 2, 1])
    counts = tables.bincount(minlength=16)
    trained = torch.tensor([int("".join(map(str, TRUTH[name])), 2) for name in TRAINED])
    assert counts[trained].sum() == len(MANY)
    assert p_value(counts[trained], len(MANY) / 12) > 1e-4
    assert p_value(state.world.pair.bincount(minlength=4), len(MANY) / 4) > 1e-4
    after, _ = task.step(state, torch.zeros(len(MANY), 2))
    assert torch.equal(after.life.table, state.life.table)


def test_match_and_non_match_are_held_out():
    task = boolean("any")
    assert isinstance(task, AnyBoolean)
    assert set(TRAINED) | set(HELD_OUT) == set(TRUTH)
    assert task.held_out().functions == ("dms", "dnms")
    with pytest.raises(ValueError, match="functions has dms, which the test is made of"):
        AnyBoolean(functions=("and", "dms")).held_out()


def test_published_life_and_preset():
    task = boolean("dms", "miconi23")
    assert (task.trials, task.test_trials, task.lifetime_trials, task.spec.trial_steps) == (300, 100, 400, 50)
    assert (task.signal, task.size, task.published_quirks) == ("error", 3.0, False)


def test_finer_steps_last_as_long():
    task = boolean("dms", dt=5.0)
    assert task.edges() == (32, 40, 72, 100, 140, 144, 184, 200)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: boolean("any", functions=("nnad",)), ["'nnad'", "did you mean 'nand'?"]),
        (lambda: boolean("and", dt=15), ["dt is 15 ms", "divides 20 ms"]),
        (lambda: boolean("and", signal="rewrad"), ["signal", "did you mean 'reward'?"]),
        (lambda: boolean("adn"), ["'miconi23.adn-v0'", "did you mean"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
