"""Every task and preset keeps the contract, and the contract catches tasks that do not."""

import gzip
import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from one_graph import check_one_graph
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Decisions, TaskSpec
from metaplastic.tasks.bandits.independent import Bandit, Structure
from metaplastic.tasks.base import leaves
from metaplastic.tasks.contract.check import ContractError, check_task
from metaplastic.tasks.decisions import DecisionState, DecisionTask, Question
from metaplastic.tasks.memory.delay_match import DelayNonMatchSample
from metaplastic.tasks.registry import TASKS, list_tasks, make

LONG = 1000
"""steps of the longest trial from which a preset's contract takes too long for every day"""
BULKY = 200_000
"""and numbers of a trial, shown and answered"""
SHORT, SMALL = 200, 20_000
"""steps of a trial, and its numbers, up to which all presets are checked every day, of longer ones the first"""


def is_slow(spec: TaskSpec) -> bool:
    """Whether its contract takes too long for every day."""
    return spec.trial_steps > LONG or spec.trial_steps * (spec.observations + spec.actions) > BULKY


def is_costly(spec: TaskSpec) -> bool:
    """Whether one of its presets has to do for every day."""
    numbers = spec.trial_steps * (spec.observations + spec.actions)
    return spec.response in ("act", "control") or spec.trial_steps > SHORT or numbers > SMALL


def is_sibling(id: str, preset: str | None) -> bool:
    """Whether a member of its collection with the same code is checked every day."""
    collection, _, name = id.removesuffix("-v0").partition(".")
    examples = {
        "yang19": ("go", "ctxdm1", "dms", "readout"),
        "miconi23": ("nor", "any"),
        "modcog": ("dlygointr", "ctxdm1seql", "dmsintl", "rtantiseqr"),
    }
    return name not in examples.get(collection, (name,)) and preset != "neurogym"


def cases() -> Iterator[Any]:
    """Every id and preset; long ones, and of what is not short all but the first preset, are marked slow."""
    for id, cls in TASKS.items():
        for preset in cls.presets or (None,):
            needs_files = "data_root" in cls.model_fields and cls.model_fields["data_root"].is_required()
            spec = None if needs_files else make(id, preset=preset).spec
            further = preset is not None and preset != next(iter(cls.presets))
            costly = spec is not None and is_costly(spec)
            slow = spec is not None and (is_slow(spec) or is_sibling(id, preset) or (costly and further))
            yield pytest.param(id, preset, marks=[pytest.mark.slow] * slow)


CASES = list(cases())


@pytest.fixture(scope="module")
def idx_folder(tmp_path_factory):
    """A folder that looks like MNIST's: 41 images to search with, 23 held out."""
    folder = tmp_path_factory.mktemp("mnist")
    for prefix, count in (("train", 41), ("t10k", 23)):
        pixels = bytes((7 * i) % 251 for i in range(count * 784))
        images = struct.pack(">4i", 2051, count, 28, 28) + pixels
        labels = struct.pack(">2i", 2049, count) + bytes((3 * i) % 10 for i in range(count))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
    return str(folder)


def settings(id: str, idx_folder: str) -> dict[str, Any]:
    return {"data_root": idx_folder} if id == "MNISTBandit-v0" else {}


@pytest.mark.parametrize(("id", "preset"), CASES)
def test_every_task_and_preset_keeps_the_contract(id, preset, idx_folder):
    check_task(make(id, preset=preset, **settings(id, idx_folder)))


@pytest.mark.parametrize("structure", get_args(Structure))
def test_every_kind_of_bandit_keeps_the_contract(structure):
    check_task(make("Bandit-v0", structure=structure))


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("Bandit-v0", {"arms": 5, "trials": 30}),
        ("Bandit-v0", {"structure": "walk", "arms": 3}),
        ("Bandit-v0", {"structure": "easy", "arms": 4, "feedback": True}),
        ("DigitsBandit-v0", {"signed": True, "scale": 2.5, "feedback": True}),
        ("DigitsBandit-v0", {"pool": "held_out", "trials": 3, "test_trials": 2}),
        ("DelayNonMatchSample-v0", {"dt": 20, "onset": 0, "delay": 200, "longest_delay": 300, "order": "random"}),
    ],
)
def test_settings_keep_the_contract_too(id, changes):
    check_task(make(id, **changes))


def test_explicit_settings_go_before_the_preset_and_survive_a_round_trip():
    task = make("DelayNonMatchSample-v0", preset="miconi17_long", stimulus=200, delay=1199)
    assert isinstance(task, DelayNonMatchSample)
    assert (task.preset, task.stimulus, task.trial) == ("miconi17_long", 200.0, 2000.0)
    assert type(task).model_validate(task.model_dump()) == task


def test_the_default_delayed_match_is_the_published_one():
    assert make("DelayNonMatchSample-v0", preset="miconi17").model_copy(update={"preset": None}) == make(
        "DelayNonMatchSample-v0"
    )


def test_a_preset_is_not_a_way_to_change_the_defaults_of_others():
    with pytest.raises(TypeError):
        Bandit.presets["wang16"]["arms"] = 3  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("Bandit"), ["'Bandit'", "no such task", "did you mean 'Bandit-v0'?"]),
        (lambda: make("Bandit-v0", preset="wang61"), ["'wang61'", "did you mean 'wang16'?"]),
        (lambda: make("Bandit-v0", arm=3), ["Bandit-v0: arm", "did you mean 'arms'?"]),
        (lambda: make("Bandit-v0", structure="eazy"), ["structure", "'eazy'", "did you mean 'easy'?"]),
        (lambda: make("Bandit-v0", arms=1, trials=0), ["arms", "trials"]),
        (lambda: make("Bandit-v0", structure="correlated", arms=3), ["arms is 3, wanted 2"]),
        (lambda: list_tasks("imagse"), ["'imagse'", "did you mean 'images'?"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_tasks_are_listed_by_their_tags():
    assert list_tasks() == list(TASKS)
    for tag in ("images", "memory", "bandit"):
        assert list_tasks(tag) == [id for id, cls in TASKS.items() if tag in cls.tags]
    assert {"DigitsBandit-v0", "MNISTBandit-v0"} <= set(list_tasks("images"))


OWN_FILES = [id for id, cls in TASKS.items() if "data_root" in cls.model_fields]
"""tasks of images, whose folder is the user's or whose data take long to load"""
PLAIN = [id for id in TASKS if id not in OWN_FILES and not is_sibling(id, "yang19")]


@pytest.mark.parametrize("id", PLAIN)
def test_vmap_over_lifetimes_is_the_batched_life(id):
    task = make(id)
    lifetimes = torch.arange(6).reshape(3, 2)
    _, first = task.reset(lifetimes)
    answers = [task.random_policy(lifetimes, seed)(task.reset(lifetimes)[0], first.observation) for seed in (0, 1)]

    def two_steps(lifetime: Tensor, one: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        state, _ = task.reset(lifetime)
        state, first = task.step(state, one)
        _, second = task.step(state, other)
        return first.observation, first.reward, second.observation, second.reward

    assert all(map(torch.equal, torch.vmap(two_steps)(lifetimes, *answers), two_steps(lifetimes, *answers)))


@pytest.mark.parametrize(
    ("backend", "ids"),
    [
        *(pytest.param("eager", PLAIN[first::9], marks=[pytest.mark.slow] * (first % 3 > 0)) for first in range(9)),
        *(pytest.param("inductor", [id], marks=pytest.mark.slow) for id in PLAIN),
    ],
)
def test_a_step_is_one_graph_for_the_compiler_and_gives_the_same_numbers(backend, ids):
    check_one_graph(*((id, {}) for id in ids), backend=backend)


def test_the_example_of_a_task_of_ones_own_keeps_the_contract(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    check_task(importlib.import_module("own_task").Odours())


def test_a_task_that_cannot_be_pickled_is_told_why():
    class Local(Coin):
        pass

    with pytest.raises(ContractError, match="cannot be pickled"):
        check_task(Local())


@pytest.mark.parametrize("id", ["Bandit-v0", "DigitsBandit-v0", "DelayNonMatchSample-v0"])
def test_everything_follows_the_device_of_the_lifetimes(id):
    task = make(id)
    lifetimes = torch.arange(5, device="meta")  # an operation of a meta tensor with another device's is an error
    state, _ = task.reset(lifetimes)
    _, seen = task.step(state, task.random_policy(lifetimes)(state, state.key))
    block = task.render(lifetimes, 1) if isinstance(task, DelayNonMatchSample) else task.decisions(lifetimes, 1, 3)
    assert {field.device.type for field in leaves((block, seen.observation, seen.reward, seen.info))} == {"meta"}


CALLS: list[int] = []
"""what the coin with the fault `counts` remembers outside of its state"""


class Coin(DecisionTask):
    """Which of three sides is up? The least task there is, to break in many ways."""

    kind: Literal["Coin-v0"] = "Coin-v0"
    fault: str = Field(default="")
    trials: int = Field(default=9, ge=1)
    test_trials: int = Field(default=4, ge=1)

    @property
    def spec(self) -> TaskSpec:
        chance = {"chance": 0.5, "ceiling": 1 / 6}.get(self.fault, 1 / 3)
        spec = self.describe({"side": 3}, 3, chance=chance, ceiling=1.0, criterion=0.9)
        return spec._replace(channels={"side": (0, 2)}) if self.fault == "channels" else spec

    def birth(self, key: Tensor) -> tuple[Tensor]:
        return (rng.below(rng.words(key, 1)[..., 0], 3),)

    def question(self, key: Tensor, life: tuple[Tensor], trial: Tensor) -> Question:
        words = rng.words(rng.condition_keys(rng.trial_keys(key, trial)), 1)[..., 0]
        if self.fault == "global":
            words = words + torch.randint(0, 2**60, words.shape)
        if self.fault == "batch":
            words = words + words.sum()
        up = (rng.below(words, 3) + life[0]) % 3
        side = (up[..., None] == torch.arange(3)).float()
        shown = side * 0 if self.fault == "hidden" and trial.ndim == 1 else side
        target = (up + 1) % 3 if self.fault == "oracle" else up
        best = torch.full_like(side[..., 0], 0.5 if self.fault == "best" else 1.0)
        kind = trial if self.fault == "kind" else torch.zeros_like(trial)
        return Question(shown, side * (2.0 if self.fault == "score" else 1.0), best, kind, target)

    def step(self, state: DecisionState, action: Tensor) -> Any:
        if self.fault == "in place":
            state.reward.add_(1)
        new, seen = super().step(state, action)
        if self.fault == "counts":
            CALLS.append(len(CALLS))
            seen = seen._replace(reward=seen.reward + len(CALLS))
        if self.fault == "immortal":
            new = new._replace(alive=new.alive | True)
        return new, seen

    def decisions(self, lifetime: Tensor, first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        if self.fault == "seed":
            seed = 0
            lifetime = lifetime * 0
            first = 0
        block = super().decisions(lifetime, first, count, seed)
        if self.fault == "dtype":
            return block._replace(payoff=block.payoff.double())
        if self.fault == "first":
            later = torch.arange(first, first + count) > first
            return block._replace(payoff=block.payoff * later.reshape(-1, *(1,) * (block.payoff.ndim - 1)))
        return block

    def score(self, payoff: Tensor) -> Tensor:
        return payoff / 2 if self.fault == "ceiling" else payoff


def test_a_sound_task_passes():
    check_task(Coin())


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("channels", "do not tile its 3 observations"),
        ("chance", "spec.chance is 0.5"),
        ("global", "torch's global generator"),
        ("batch", "depend on which others are in the batch"),
        ("seed", "nothing depends on seed, lifetime or trial"),
        ("hidden", "observations of step and decisions differ"),
        ("oracle", "above what the oracle earns"),
        ("ceiling", "the oracle scores"),
        ("best", "above what the oracle earns"),
        ("kind", "but the spec has 1 trial types"),
        ("score", "wanted them in [0, 1]"),
        ("in place", "changes its state in place"),
        ("counts", "was pickled and read back goes on with other numbers"),
        ("immortal", "after a life's end"),
        ("dtype", "payoff is torch.float64, wanted float32"),
        ("first", "decisions [0, 12) are not"),
    ],
)
def test_the_contract_catches(fault, complaint):
    with pytest.raises(ContractError) as caught:
        check_task(Coin(fault=fault))
    assert complaint in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)
