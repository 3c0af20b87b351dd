"""The contracts of metaplastic, on one page.

An experiment is a tree of frozen values (`Component`). Any number in it may be a `Gene`, any component or option a
`Choice`, any tensor an `Array` on disk; `fields.py` says what a field of a component may hold. The rooms give the
components: `Task`, `Network`, `Rule`, `Objective`, `Searcher`.

Letters for shapes, everywhere: P individuals, L lifetimes, T steps or trials, N units, I inputs, A actions, G genes,
K objectives. Weights are `w[..., post, pre]`. Times are in ms, rates in Hz. Fitness is maximised.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.values import (
    Array,
    Choice,
    ConfigError,
    Gene,
    Granularity,
    Number,
    Numbers,
    Value,
    Values,
    lookup,
    near_miss,
    wrong,
)

__all__ = [
    "Array",
    "Choice",
    "Component",
    "ConfigError",
    "Connection",
    "Decisions",
    "Evaluation",
    "Gene",
    "Granularity",
    "Judgement",
    "Layout",
    "Network",
    "Number",
    "Numbers",
    "Objective",
    "Record",
    "Rule",
    "Searcher",
    "Task",
    "TaskSpec",
    "TrialBatch",
    "Value",
    "Values",
    "lookup",
    "near_miss",
    "padded_size",
    "wrong",
]


class Component(Value):
    """A part of an experiment, named by `kind`."""

    references: ClassVar[tuple[str, ...]] = ()
    """the publications it stands on, author and year first"""
    kind: Any
    """which component this is; every class narrows it to its own `Literal`"""


class Connection(NamedTuple):
    """A group of synapses; sizes are the largest that the genes allow, and active units always come first."""

    name: str
    post_count: int
    pre_count: int
    cell_types: int = 1
    """units i, i + cell_types, … are of one cell type (so that masks do not move types)"""

    def shape(self, per: Granularity) -> tuple[int, int]:
        """[post, pre] extent of a value of this granularity (type_pair: [types, types])."""
        return {
            "brain": (1, 1),
            "connection": (1, 1),
            "type_pair": (self.cell_types, self.cell_types),
            "post": (self.post_count, 1),
            "pre": (1, self.pre_count),
            "synapse": (self.post_count, self.pre_count),
        }[per]


class Layout(NamedTuple):
    """The connection groups of a network: what one gene may stand for."""

    connections: tuple[Connection, ...]

    def length(self, per: Granularity) -> int:
        """How many numbers a value of this granularity holds over all connection groups (brain: 1)."""
        return 1 if per == "brain" else sum(math.prod(c.shape(per)) for c in self.connections)

    def expand(self, value: Number, index: int, like: Tensor) -> Float[Tensor, "P post pre"]:
        """A parameter for connection group `index`, broadcastable to [P, post, pre]; dtype and device of `like`."""
        if not isinstance(value, Values):
            if isinstance(value, Gene | Array | Numbers):
                raise TypeError(f"{value!r} is not expressed yet; express the experiment first")
            return torch.full((1, 1, 1), float(value), dtype=like.dtype, device=like.device)
        data = value.data.to(like)
        if value.per == "brain":
            return data.reshape(-1, 1, 1)
        start = sum(math.prod(c.shape(value.per)) for c in self.connections[:index])
        c = self.connections[index]
        rows, columns = c.shape(value.per)
        block = data[:, start : start + rows * columns].reshape(-1, rows, columns)
        if value.per != "type_pair":
            return block
        post = torch.arange(c.post_count, device=block.device) % rows
        pre = torch.arange(c.pre_count, device=block.device) % columns
        return block[:, post][:, :, pre]


class TaskSpec(NamedTuple):
    """What a task is to the outside: static, plain values."""

    id: str
    """registered name, `Name-vN`"""
    channels: dict[str, tuple[int, int]]
    """named slices [first, end) of the observation"""
    observations: int
    """I, length of an observation"""
    actions: int
    """A, number of actions (each, choice, act) or of outputs (readout, control)"""
    response: Literal["each", "choice", "readout", "act", "control"]
    """each: every step is a decision, rewarded at once; choice: one of A actions at every step of a trial, 0 waits, the
    first one given in time is judged; readout: A outputs at every step of a trial, judged at its end; act and control:
    an action or A outputs in [-1, 1] at every step change what is seen next"""
    dt: float
    """ms a step"""
    trial_steps: int
    """T, steps of the longest trial (each: 1)"""
    trial_types: int
    """number of trial types that have a reward expectation of their own"""
    chance: float
    """expected score of a random policy"""
    ceiling: float
    """expected score of the ideal observer"""
    criterion: float
    """score from which the task counts as learned"""
    tags: tuple[str, ...] = ()
    cite: tuple[str, ...] = ()
    epochs: tuple[str, ...] = ()
    """names of the parts of a trial, in order"""
    action_names: tuple[str, ...] = ()
    oracle: float | None = None
    """expected score of who knows what is hidden; the ceiling, if None"""
    open_loop: bool = True
    """what is seen does not depend on what was done, so whole trials or blocks can be drawn ahead"""
    reward_range: tuple[float, float] = (0.0, 1.0)
    """least and largest reward of one step"""
    differentiable: bool = False
    """what is seen and judged is differentiable with respect to the outputs"""
    criteria: tuple[tuple[str, float], ...] = ()
    """the publication's own criterion, statistics of `tasks/scoring.py` that must all be reached; none: `criterion`"""


class Decisions(NamedTuple):
    """A block of one-step decisions whose observations do not depend on the actions."""

    observation: Float[Tensor, "T L I"]
    payoff: Float[Tensor, "T L A"]
    """reward that each action would get"""
    best: Float[Tensor, "T L"]
    """expected reward of the best action (regret is measured against it)"""
    kind: Int[Tensor, "T L"]
    """trial type, in [0, trial_types)"""


class TrialBatch(NamedTuple):
    """One whole trial of every lifetime, time first."""

    x: Float[Tensor, "T L I"]
    """observations; 0 after the trial's end"""
    y: Float[Tensor, "T L A"]
    """target outputs"""
    w: Float[Tensor, "T L"]
    """weight of each step in the judgement; 0 where nothing is judged"""
    epoch: Int[Tensor, "T L"]
    """index into the task's epochs"""
    kind: Int[Tensor, " L"]
    """trial type, in [0, trial_types)"""
    length: Int[Tensor, " L"] | None = None
    """steps of each trial; None: all have T"""
    drawn: Any = ()
    """what the trial has drawn, as its task keeps it: `judge` may read it"""


class Judgement(NamedTuple):
    """How a trial went; leading dimensions as the outputs had them."""

    reward: Float[Tensor, "*B"]
    """what the learner is told"""
    score: Float[Tensor, "*B"]
    """graded performance in [0, 1]: what curves and fitness are made of"""
    correct: Float[Tensor, "*B"]
    """1 right, 0 wrong"""


class Task(Component, ABC):
    """A pure description of an experiment's world; all randomness comes from (seed, lifetime, trial, step).

    `lifetime` is an int64 tensor [L] of global lifetime numbers; `seed` an int or a key (int64 scalar tensor, rng.py).
    Trials `n < trials` are for learning; trials from `trials` on are the test that fitness is measured in.
    """

    trials: int
    """trials of learning in a lifetime"""
    test_trials: int
    """trials of test after learning, plasticity off"""

    @property
    @abstractmethod
    def spec(self) -> TaskSpec:
        """Its static description."""

    def held_out(self) -> Task:
        """The same task on material that no search ever sees (itself, where every lifetime draws afresh)."""
        return self

    def decisions(self, lifetime: Int[Tensor, " L"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count) of an `each` task."""
        raise NotImplementedError(f"{self.kind} has no one-step decisions")

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Graded performance in [0, 1] of decisions that earned `payoff`: the payoff itself, where it is 0 or 1."""
        return payoff

    def render(self, lifetime: Int[Tensor, " L"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial of a `readout` or `choice` task."""
        raise NotImplementedError(f"{self.kind} has no open-loop trials")

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of a rendered trial; B = [P, L] or [L]. In a `choice` task the largest output acts."""
        raise NotImplementedError(f"{self.kind} has no open-loop trials")


class Network(Component, ABC):
    """Units and their connections; it runs, a rule changes it."""

    signals: ClassVar[frozenset[str]]
    """what it can tell a synapse (names of `inner_loop/formula/program.py`)"""
    responses: ClassVar[tuple[str, ...]]
    """the kinds of response (`TaskSpec.response`) that it can live with"""

    @abstractmethod
    def layout(self, spec: TaskSpec) -> Layout:
        """Its plastic connection groups for this task, at the largest sizes the genes allow."""


class Rule(Component, ABC):
    """How weights change."""

    networks: ClassVar[tuple[str, ...]] = ()
    """the kinds of network that it can change; none: every one that gives what it reads"""

    def reads(self) -> frozenset[str]:
        """The signals it needs from the network; an experiment whose network does not give them is refused."""
        return frozenset()

    def misfit(self, objective: Objective, task: Task) -> str:  # noqa: ARG002
        """Why it cannot live with this objective and task, in one line; '' if it can."""
        return ""


class Objective(Component, ABC):
    """What a brain is driven by during life; never the fitness (rules.md 10)."""


class Record(NamedTuple):
    """What came of [P, L] lifetimes."""

    score: Float[Tensor, "P L"]
    """mean score of the test trials"""
    curve: Float[Tensor, "P L blocks"]
    """mean score of the learning trials in equal blocks"""
    metrics: dict[str, Float[Tensor, "P L"]]
    """test_reward, learning_reward, regret, activity, …"""
    recordings: dict[str, Tensor]
    """what `record` asked for, time first"""


def padded_size(units: int) -> int:
    """The size bucket of a population of `units` neurons: 8, 12, 16, 24, 32, 48, 64, 96, 128 …

    Individuals of one bucket live in one batch, padded to it and masked; the bucket depends on the individual alone,
    so that its numbers do not depend on who else is in the batch.
    """
    size = 8
    while size < units:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


class Evaluation(NamedTuple):
    """What `evaluate` returns, one row an individual."""

    fitness: Float[Tensor, "P K"]
    """maximised; non-finite rows are failed lives"""
    metrics: dict[str, Float[Tensor, "P *rest"]]
    """small things to log: learning curves, scores, sizes"""


class Searcher(ABC):
    """Proposes genomes in the unit cube and learns from their fitness. `state` is enough to continue bit-exactly."""

    @abstractmethod
    def ask(self) -> Float[Tensor, "P G"]:
        """The next generation, float64, each gene in [0, 1]."""

    @abstractmethod
    def tell(self, fitness: Float[Tensor, "P K"], measures: Float[Tensor, "P M"] | None = None) -> None:
        """The fitness (maximised, finite) of the genomes that the last `ask` gave; quality-diversity searchers
        also need their M measures of behaviour (NaN: failed)."""

    @abstractmethod
    def state(self) -> bytes:
        """Everything needed to go on after this `tell`; written by us, read back only by us."""

    @abstractmethod
    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave."""
