"""Agents act: T steps of P agents in B episodes each, left on tapes that the backward pass reads.

At every step the critic and the actor (or the one network with both heads) hear the last action and what it earned,
an action is drawn from the softmax of the logits by one uniform number a step (the same for all agents that share an
episode), and the world pays. Row t of every array is: what was seen at t, V and logits after it was heard, the action,
and the reward that this action earned (so delta[t] = R[t] + gamma V[t + 1] - V[t]).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task
from metaplastic.inner_loop.agents.agent import Agents
from metaplastic.inner_loop.agents.cells import Tape, advance
from metaplastic.inner_loop.agents.episodes import Episodes, Step, open_episodes


class Lived(NamedTuple):
    """What P agents did in T steps of B episodes."""

    tapes: list[Tape]
    action: Int[Tensor, "T P B"]
    reward: Float[Tensor, "T P B"]
    """what the action at t earned"""
    value: Float[Tensor, "T P B K"]
    logits: Float[Tensor, "T P B A"]
    score: Float[Tensor, "T P B"]
    best: Float[Tensor, "T P B"]
    trial: Int[Tensor, "T P B"]
    trial_end: Bool[Tensor, "T P B"]
    alive: Bool[Tensor, "T P B"]
    """the episode went on at t"""
    after: Float[Tensor, "P B K"] | None
    """value at step T, where the episodes go on beyond it"""


class Moment(NamedTuple):
    """What a hook may look at, before a network hears what it is told at step t."""

    step: int
    world: Episodes
    action: Int[Tensor, "P B"] | None
    """the last one; None at the first step"""
    reward: Float[Tensor, "P B"]
    """what it earned"""
    trial: Int[Tensor, "P B"] | None
    """the trial that it belonged to"""
    rpe: Float[Tensor, "P B"] | None
    """delta of the last step, once the critic has spoken (`dopamine`)"""
    ended: Bool[Tensor, "P B"] | None
    """that trial ended with it"""
    info: Any
    """what the task told of the last step (`Info`); None in blocks"""


@runtime_checkable
class Hook(Protocol):
    """Who changes what happens within an agent while it lives (lesions, stimulation); weights are not touched."""

    def told(self, core: str, moment: Moment, name: str, value: Tensor) -> Tensor:
        """What a network hears in place of `value` [P, B, n] on the input `name`."""
        ...

    def hidden(self, core: str, moment: Moment, hidden: Float[Tensor, "P B H"]) -> Tensor:
        """The state in place of `hidden`, before it is read out and goes on."""
        ...


class Actor:
    """P agents in the midst of B episodes; `run` goes on by some steps.

    `hook` changes what happens within them, `see` is told of every step before the action. With `forget` the state
    starts anew at every trial, as it does at an episode's start: a control. `room` are tapes to write on, which may
    have been used before: memory that is new every time costs more than the arithmetic. `task_step`: `compiled_step`.
    """

    def __init__(
        self,
        agents: Agents,
        task: Task,
        lanes: Int[Tensor, "P_or_1 B"],
        key: Int[Tensor, ""],
        discount: Float[Tensor, " P"],
        *,
        stepped: bool = False,
        hook: Hook | None = None,
        see: Callable[[int, Episodes], None] | None = None,
        forget: bool = False,
        room: list[Tape] | None = None,
        task_step: Step | None = None,
    ) -> None:
        self.agents, self.hook, self.see, self.forget = agents, hook, see, forget
        self.world = open_episodes(task, len(agents.weights), lanes, key, stepped=stepped, step=task_step)
        self.discount = discount[:, None]
        keys = rng.lifetime_keys(key, lanes, rng.POLICY)
        self._coins = rng.uniform(rng.words(keys, self.world.steps)).to(agents.weights)
        self._step, self._room = 0, room
        self._shape = len(agents.weights), lanes.shape[1]
        self._tapes: list[Tape] | None = None
        self._value: Tensor | None = None
        zero = agents.weights.new_zeros(self._shape)
        self._last = Moment(0, self.world, None, zero, None, None, None, None)

    @torch.no_grad()
    def run(self, steps: int) -> Lived:
        """The next `steps` steps."""
        tapes = self._room or self.agents.tapes(steps, self._shape[1])
        tapes, self._room = [tape.rewound() for tape in tapes], None  # used up: the next ones go on from these
        self._begin(tapes)
        weights = self._weights()
        rows, values = [], []
        for step in range(steps):
            if self.forget and self._last.ended is not None:
                self._forget(tapes, step, self._last.ended)
            value, logits = self._think(tapes, step, weights)
            if self.see is not None:
                self.see(self._step, self.world)
            action = draw(logits, self._coins[..., self._step])
            paid = self.world.act(action)
            self._last = Moment(
                self._step + 1, self.world, action, paid.reward, paid.trial, None, paid.trial_end, paid.info
            )
            self._step += 1
            rows.append((action, paid.reward, logits, paid.score, paid.best, paid.trial, paid.trial_end, paid.alive))
            values.append(value)
        self._tapes = tapes
        action, reward, logits, score, best, trial, end, alive = (torch.stack(row) for row in zip(*rows, strict=True))
        lived = Lived(tapes, action, reward, torch.stack(values), logits, score, best, trial, end, alive, None)
        return lived._replace(after=self._next_value(weights)) if self._step < self.world.steps else lived

    def _begin(self, tapes: list[Tape]) -> None:
        """The state that the tapes start from: the learned one, or that of the last `run`."""
        for number, (core, tape) in enumerate(zip(self.agents.cores, tapes, strict=True)):
            if self._tapes is not None:
                tape.hidden[:, 0] = self._tapes[number].hidden[:, -1]
                tape.cell[:, 0] = self._tapes[number].cell[:, -1]
            elif self.agents.learned_start:
                tape.hidden[:, 0] = self.agents.parameter(f"{core.name}.first.hidden")[:, None]
                tape.cell[:, 0] = self.agents.parameter(f"{core.name}.first.cell")[:, None]

    def _forget(self, tapes: list[Tape], step: int, where: Bool[Tensor, "P B"]) -> None:
        """The state of before the first step again, where a trial has ended."""
        for core, tape in zip(self.agents.cores, tapes, strict=True):
            for name, states in (("hidden", tape.hidden), ("cell", tape.cell)):
                first = self.agents.parameter(f"{core.name}.first.{name}")[:, None, :]
                states[:, step] = torch.where(where[..., None], first, states[:, step])

    def _weights(self) -> list[tuple[Tensor, ...]]:
        names = ("cell.weight", "cell.bias", "head.weight", "head.bias")
        return [tuple(self.agents.parameter(f"{core.name}.{name}") for name in names) for core in self.agents.cores]

    def _think(self, tapes: list[Tape], step: int, weights: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
        """V_t [P, B, K] and logits [P, B, A]."""
        heads: dict[str, Tensor] = {}
        for number, core in enumerate(self.agents.cores):
            cell_weight, cell_bias, head_weight, head_bias = weights[number]
            self._hear(core.name, core.told, tapes[number].z[:, step])
            hidden = advance(core.cell, tapes[number], step, cell_weight, cell_bias)
            if self.hook is not None:
                hidden.copy_(self.hook.hidden(core.name, self._last, hidden))
            out = torch.baddbmm(head_bias[:, None], hidden, head_weight.mT)
            heads |= {name: out[..., first:end] for name, (first, end) in core.heads.items()}
            if "value" in core.heads:
                self._surprise(heads["value"])
        return heads["value"], heads["policy"]

    def _surprise(self, value: Float[Tensor, "P B K"]) -> None:
        """Equation (1) of agent.py."""
        mean = value.mean(-1)
        if self._value is not None:
            self._last = self._last._replace(rpe=self._last.reward + self.discount * mean - self._value)
        self._value = mean

    def _hear(self, core: str, told: dict[str, tuple[int, int]], z: Float[Tensor, "P B XH"]) -> None:
        """Write what a network is told into its input, which is 0 before."""
        last = self._last
        for name, (first, end) in told.items():
            into = z[..., first:end]
            if name == "observation":
                into.copy_(self.world.observation())
            elif name == "time":
                into.fill_(last.step / self.world.steps)
            elif last.action is None:  # nothing has happened yet: nothing to be told, or to be changed
                into.zero_()
                continue
            elif name == "action":
                into.zero_().scatter_(-1, last.action[..., None], 1.0)
            else:
                heard = last.reward if name == "reward" else last.rpe
                assert heard is not None
                into[..., 0] = heard
            if self.hook is not None:
                into.copy_(self.hook.told(core, last, name, into))

    def _next_value(self, weights: list[tuple[Tensor, ...]]) -> Float[Tensor, "P B K"]:
        """What the critic would say now; nothing of it is kept."""
        assert self._tapes is not None
        number = self.agents.core_of("value")
        core, tape = self.agents.cores[number], self.agents.tapes(1, self._shape[1])[number]
        tape.hidden[:, 0], tape.cell[:, 0] = self._tapes[number].hidden[:, -1], self._tapes[number].cell[:, -1]
        self._hear(core.name, core.told, tape.z[:, 0])
        hidden = advance(core.cell, tape, 0, *weights[number][:2])
        first, end = core.heads["value"]
        return torch.baddbmm(weights[number][3][:, None], hidden, weights[number][2].mT)[..., first:end]


def draw(logits: Float[Tensor, "*T P B A"], coin: Float[Tensor, "*T P_or_1 B"]) -> Int[Tensor, "*T P B"]:
    """Actions from the softmax of the logits; the first a whose heaped probability is above the coin."""
    heaped = torch.softmax(logits, -1).cumsum(-1)
    return (heaped[..., :-1] <= coin[..., None]).sum(-1)
