"""A Boolean function of two stimuli, found out from reward: the tasks that plasticity is evolved on in Miconi 2023.

Two stimuli of +1 or -1 come one after the other; outputs z0 and z1 say whether the function is true of them. Which
function it is stays the same for a lifetime and is shown nowhere. With z* = 0.9 for the right output and 0.1 for the
other, over the W steps of the response

    response = 1 if sum z1 > sum z0 else 0          error = sum over steps and outputs (z - z*)^2 / W             (1)

Then the trial's outcome (1 or -1, or its error) and the network's own response come back as inputs: a closed loop.
Inputs: stimulus and its negative, outcome twice, response one-hot (all times `size`), and a constant 1.

Fourteen ids `miconi23.<function>-v0`, and `miconi23.any-v0`, in which every lifetime draws one of twelve; `dms` and
its negation are kept for the test, which is `held_out()`. Miconi 2023, ICML (arXiv:2112.08588), and its code. There
the outcome is the error (preset `miconi23`), and by mistake `anti10` is `10` and `nor` is 1 - s1 + s2 cut to [0, 1],
which is the true `anti10` (`published_quirks`). Lifetimes that share a number share function and stimuli.
"""

from __future__ import annotations

from itertools import accumulate
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, near_miss, wrong
from metaplastic.settings import made_class
from metaplastic.tasks.base import TimeStep, one_hot, one_of
from metaplastic.tasks.constants import constant
from metaplastic.tasks.worlds import Happening, WorldState, WorldTask

TRUTH = MappingProxyType(
    {
        "and": (0, 0, 0, 1),
        "nand": (1, 1, 1, 0),
        "or": (0, 1, 1, 1),
        "nor": (1, 0, 0, 0),
        "01": (0, 1, 0, 0),
        "anti01": (1, 0, 1, 1),
        "10": (0, 0, 1, 0),
        "anti10": (1, 1, 0, 1),
        "watchstim1": (0, 0, 1, 1),
        "antiwatchstim1": (1, 1, 0, 0),
        "watchstim2": (0, 1, 0, 1),
        "antiwatchstim2": (1, 0, 1, 0),
        "dms": (1, 0, 0, 1),
        "dnms": (0, 1, 1, 0),
    }
)
"""name -> its value where (s1, s2) is 00, 01, 10, 11"""
QUIRKS = MappingProxyType({"anti10": TRUTH["10"], "nor": TRUTH["anti10"]})
"""what two of them are in the published code"""
HELD_OUT = ("dms", "dnms")
TRAINED = tuple(name for name in TRUTH if name not in HELD_OUT)

TIMELINE = MappingProxyType(
    {"first": 160, "gap": 40, "second": 160, "wait": 140, "response": 200, "pause": 20, "feedback": 200, "rest": 80}
)
"""epoch -> ms, as published: 50 steps of 20 ms"""
LOW, HIGH = 0.1, 0.9
"""z*: what is wanted of the wrong and of the right output"""

Signal = Literal["reward", "error"]


class Rule(NamedTuple):
    """What a lifetime draws."""

    table: Float[Tensor, "*B 4"]
    """the function's truth table"""


class Said(NamedTuple):
    """A trial so far."""

    pair: Int[Tensor, "*B"]
    """2 s1 + s2"""
    target: Int[Tensor, "*B"]
    """the function's value"""
    sums: Float[Tensor, "*B 2"]
    """outputs, summed over the response"""
    error: Float[Tensor, "*B"]
    """(1)"""


class BooleanTask(WorldTask):
    """Say whether an unknown function is true of two stimuli."""

    references = (
        "Miconi 2023, Learning to acquire novel cognitive tasks with evolution, plasticity and meta-meta-learning, "
        "ICML, arXiv:2112.08588",
    )
    tags = ("miconi23", "meta-learning", "memory", "reward")
    presets = MappingProxyType({"miconi23": MappingProxyType({"signal": "error"})})
    answered_by = "control"
    epochs: ClassVar[tuple[str, ...]] = tuple(TIMELINE)

    trials: int = Field(default=300, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=100, ge=0)
    """trials after them; the published fitness is of the last 100 of 400"""
    dt: float = Field(default=20.0, gt=0)
    """ms a step; must divide 20"""
    size: float = Field(default=3.0, gt=0)
    """size of stimuli, outcome and response as inputs"""
    signal: Annotated[Signal, BeforeValidator(one_of(Signal))] = "reward"
    """the outcome that is shown and paid: 1 or -1; or the error (1), paid negative"""
    published_quirks: bool = False
    """two functions are what they are in the published code"""

    @model_validator(mode="after")
    def _steps_are_whole(self) -> BooleanTask:
        steps = 20 / self.dt
        if abs(steps - round(steps)) > 1e-6:
            raise wrong(
                f"dt is {self.dt:g} ms, wanted one that divides 20 ms: the parts of a trial are multiples of 20"
            )
        return self

    def functions_of_life(self) -> tuple[str, ...]:
        """The functions that a lifetime draws from, each alike."""
        raise NotImplementedError

    def edges(self) -> tuple[int, ...]:
        """First step after each epoch."""
        return tuple(round(end / self.dt) for end in accumulate(TIMELINE.values()))

    @property
    def spec(self) -> TaskSpec:
        """Scores are accuracy. Who has met the four pairs knows the function, so the ceiling of the test is 1."""
        low = -1.0 if self.signal == "reward" else -((1 + HIGH) ** 2 + (1 - LOW) ** 2)
        return self.describe(
            {"stimulus": 2, "outcome": 2, "response": 2, "bias": 1},
            2,
            dt=self.dt,
            trial_steps=self.edges()[-1],
            trial_types=4,
            chance=0.5,
            ceiling=1.0,
            criterion=0.9,
            epochs=self.epochs,
            action_names=("false", "true"),
            reward_range=(low, 1.0 if self.signal == "reward" else 0.0),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Rule:
        """The function of a lifetime."""
        names = self.functions_of_life()
        tables = {**TRUTH, **(QUIRKS if self.published_quirks else {})}
        which = rng.below(rng.word(key, 0), len(names))
        table = constant(tuple(tables[name] for name in names), key.device)
        return Rule(table.index_select(0, which.reshape(-1)).reshape(*which.shape, 4))

    def begin(self, key: Int[Tensor, "*B"], life: Rule, trial: Int[Tensor, "*B"], before: Said | None) -> Said:
        """Two stimuli, each alike."""
        del trial, before
        pair = rng.below(rng.word(key, 0), 4)
        target = life.table.gather(-1, pair[..., None]).squeeze(-1).to(torch.int64)
        nothing = torch.zeros_like(life.table[..., 0])
        return Said(pair, target, torch.stack((nothing, nothing), -1), nothing.clone())

    def advance(
        self, key: Int[Tensor, "*B"], life: Rule, world: Said, action: Float[Tensor, "*B 2"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Collect the response; pay as the feedback begins."""
        del key
        opens, closes, pays = self.edges()[3], self.edges()[4], self.edges()[5] - 1
        counts = ((step >= opens) & (step < closes)).to(action.dtype)
        error = (action - self.target(life, world)).square().sum(-1) * (counts / (closes - opens))
        world = Said(world.pair, world.target, world.sums + action * counts[..., None], world.error + error)
        right = (self.response(world) == world.target).to(action.dtype)
        outcome = right * 2 - 1 if self.signal == "reward" else -world.error
        is_paid = (step == pays).to(action.dtype)
        best = is_paid if self.signal == "reward" else torch.zeros_like(is_paid)
        never = torch.zeros_like(step, dtype=torch.bool)
        return Happening(world, outcome * is_paid, never, right, right.to(torch.int64), best)

    def response(self, world: Said) -> Int[Tensor, "*B"]:
        """(1): the output with the larger sum."""
        return (world.sums[..., 1] > world.sums[..., 0]).to(torch.int64)

    def look(self, life: Rule, world: Said, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 7"]:
        """Stimuli in their epochs; outcome and response in the feedback."""
        del life
        edges, size = self.edges(), self.size
        first, second = step < edges[0], (step >= edges[1]) & (step < edges[2])
        stimulus = (2 * (world.pair // 2) - 1) * first + (2 * (world.pair % 2) - 1) * second
        told = ((step >= edges[5]) & (step < edges[6])).to(torch.float32) * size
        response = self.response(world)
        outcome = (response == world.target) * 2.0 - 1 if self.signal == "reward" else world.error
        lines = (stimulus * size, stimulus * -size, outcome * told, outcome * told)
        bias = torch.ones_like(told)
        return torch.stack((*lines, told * (1 - response), told * response, bias), -1).to(torch.float32)

    def target(self, life: Rule, world: Said) -> Float[Tensor, "*B 2"]:
        """z*."""
        del life
        return LOW + (HIGH - LOW) * one_hot(world.target, 2)

    def epoch_of(self, state: WorldState) -> Int[Tensor, "*B"]:
        """Which part of the trial is shown."""
        epoch = torch.zeros_like(state.step)
        for edge in self.edges()[:-1]:
            epoch = epoch + (state.step >= edge)
        return epoch.to(torch.int8)

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[WorldState, TimeStep]:
        """The start of every lifetime; a trial's type is its pair of stimuli."""
        state, first = super().reset(lifetime, seed)
        return state, first._replace(info=first.info._replace(kind=state.world.pair.clone()))

    def step(self, state: WorldState, action: Float[Tensor, "*B 2"]) -> tuple[WorldState, TimeStep]:
        """As in every closed loop, with the epoch and the trial's type."""
        after, seen = super().step(state, action)
        info = seen.info._replace(epoch=self.epoch_of(state), kind=state.world.pair)
        return after, seen._replace(info=info)


class AnyBoolean(BooleanTask):
    """Find out which of several Boolean functions holds in this life."""

    kind: Literal["miconi23.any-v0"] = "miconi23.any-v0"
    functions: tuple[str, ...] = Field(default=TRAINED, min_length=1)
    """the functions that lifetimes draw from, each alike"""

    @model_validator(mode="after")
    def _are_known(self) -> AnyBoolean:
        for name in self.functions:
            if name not in TRUTH:
                names = list(TRUTH)
                raise wrong(f"functions has {name!r}, wanted some of {', '.join(names)}{near_miss(name, names)}")
        return self

    def functions_of_life(self) -> tuple[str, ...]:
        """Those that were given."""
        return self.functions

    def held_out(self) -> AnyBoolean:
        """Lifetimes with `dms` and `dnms`.

        Raises:
            ValueError: if `functions` has one of them, so that nothing is left for the test.
        """
        shared = [name for name in self.functions if name in HELD_OUT]
        if shared and self.functions != HELD_OUT:
            raise ValueError(f"functions has {', '.join(shared)}, which the test is made of; leave dms and dnms out")
        return self.model_copy(update={"functions": HELD_OUT})


class OneBoolean(BooleanTask):
    """One Boolean function in all lives."""

    function: ClassVar[str]

    def functions_of_life(self) -> tuple[str, ...]:
        """The one."""
        return (self.function,)


def _task(name: str) -> type[OneBoolean]:
    """The class of one function."""
    values, id = " ".join(map(str, TRUTH[name])), f"miconi23.{name}-v0"
    meaning = f"Find out that the function is '{name}': {values} for stimuli 00, 01, 10, 11."
    fields: dict[str, Any] = {"kind": (Literal[id], Field(default=id))}
    made = made_class(f"Boolean_{name}", OneBoolean, __name__, meaning, fields)
    made.function = name
    return made


MICONI23: dict[str, type[BooleanTask]] = {f"miconi23.{name}-v0": _task(name) for name in TRUTH}
MICONI23["miconi23.any-v0"] = AnyBoolean
"""id -> class"""

globals().update(
    {made.__name__: made for made in MICONI23.values()}
)  # so that a task can be pickled by its class's name
