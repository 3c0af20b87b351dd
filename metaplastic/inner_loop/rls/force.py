"""FORCE: a chaotic network is made to draw a curve by its read-out alone, which it hears (Sussillo & Abbott 2009).

    x <- x + a (-x + J r + W_fb z + I),   z = W_out r                                                        (1)
    every `interval` steps  W_out <- W_out - (z - z*) k'     recursive least squares (`recursive_least_squares.py`)

The error is small from the first steps on, and what is fed back is nearly right while the weights still change: so the
network learns to be stable under its own output. J and W_fb stay as they were born. The target z* is the task's where
it judges and 0 elsewhere; weights are written at all steps of a trial. `runs_on`: a trial goes on from where the last
ended, as a pattern generator does; else it starts anew. In the test nothing is written and the network runs freely.

Works with (recalled): N = 1000, density .1, g = 1.5, dt = tau / 10, update every 2 steps, P_0 = I. With 300 neurons
g 1.2 is safer (docs/studies/force.md).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.rate_rnn import RateBrains, RateRNN
from metaplastic.inner_loop.networks.sizes import largest
from metaplastic.inner_loop.rls import student as reference
from metaplastic.inner_loop.rls import student_kernel
from metaplastic.inner_loop.rls.recursive_least_squares import start
from metaplastic.inner_loop.rls.student import Lesson, Plant, Student, times
from metaplastic.inner_loop.rules.sequence import Lived, SequenceRule, State, Trials

FEEDBACK, START = 4, 5
"""children of a lifetime's birth key, beside those of the network"""

Positive = Annotated[Number, Evolves(0, above=True)]
Share = Annotated[Number, Evolves(0, 1, above=True)]
Steps = Annotated[Number, Evolves(1, 10_000, integer=True)]


class LeastSquares(SequenceRule):
    """What all rules of recursive least squares have."""

    networks: ClassVar[tuple[str, ...]] = ("rate_rnn",)
    batch: Annotated[int, Field(ge=1, le=1)] = 1
    """trials are lived one by one: weights change within them"""
    alpha: Positive = 1.0
    """P starts at I / alpha: how dear it is to leave the weights of birth"""
    interval: Steps = 2
    """steps from one write to the next"""
    forgetting: Share = 1.0
    """lambda; below 1 old errors count less"""

    def writes(self, shape: tuple[int, int, int], key: Int[Tensor, " L"], like: Tensor) -> Tensor:
        """At which steps [T, P, L] weights are written: every `interval`-th."""
        del key
        interval = numbers(self, shape[1], like)["interval"].round().long()
        t = torch.arange(shape[0], device=like.device)
        return (t[:, None] % interval == 0)[..., None].expand(shape)

    def noted(self, trials: Trials, learns: bool, writes: Tensor) -> Tensor:
        """`writes`, within the trials and while there is something to learn."""
        within = torch.arange(len(trials.x), device=writes.device)[:, None] < trials.length[:, 0]
        return writes & within[:, None] & learns


class Fitted(LeastSquares):
    """A network that runs and is fitted as `student.py` says."""

    teaches: ClassVar[bool] = False
    """the recurrent weights learn, from a teacher"""
    feedback: Annotated[Number, Evolves(0, 100)] = 1.0
    """W_fb ~ U(-feedback, feedback)"""
    runs_on: bool = True
    """a trial goes on from where the last one ended; else it starts anew"""

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """J and W_fb, W_out = 0, P_0, and where the network starts."""
        brains = birth(network, spec, individuals, key, like)
        lives, size = (individuals, len(key)), brains.size
        own = numbers(self, individuals, like)
        rows = spec.actions + (size if self.teaches else 0)
        x = started(brains, rng.fold(key, START))
        return {
            "fixed": brains.weights,
            "feedback": feedback_weights(network, brains, key, own["feedback"]),
            "learned": like.new_zeros(*lives, rows, size),
            "inverse": start(own["alpha"], size)[:, None].expand(*lives, size, size).contiguous(),
            "x": x,
            "told": like.new_zeros(*lives, rows),
            "shadow": x if self.teaches else x[..., :0],
            "aim": torch.zeros_like(x if self.teaches else x[..., :0]),
            **kept(brains, len(key)),
        }

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """One trial of all lives."""
        assert isinstance(network, RateRNN)
        x, like = trials.x[:, :, 0], state["x"]
        individuals = len(like)
        plant = plant_of(network, state, self.teaches)
        student = Student(*(state[name] for name in Student._fields))
        if not (self.runs_on or number == 0):
            student = again(plant, student, state["start"][:, 0], rng.fold(key, len(x)))
        writes = self.writes((len(x), individuals, like.shape[1]), rng.fold(key, len(x) + 1), like)
        target = trials.y[:, :, 0] * (trials.w[:, :, :1] > 0)
        forgetting = numbers(self, individuals, like)["forgetting"].contiguous()
        lesson = Lesson(shown(network, x), target, self.noted(trials, learns, writes), forgetting, key)
        engine = student_kernel.run if student_kernel.fits(like) else reference.run
        ran = engine(plant, student, lesson, keep_rates=True)
        seen = {} if ran.rates is None else {"rates": ran.rates[..., None, :]}
        return Lived(ran.output[..., None, :], {**state, **ran.student._asdict()}, seen)


class Force(Fitted):
    """First-order reduced and controlled error: only the read-out learns, eq. (1)."""

    references: ClassVar[tuple[str, ...]] = (
        "Sussillo & Abbott 2009, Generating coherent patterns of activity from chaotic neural networks, Neuron 63:544",
    )
    kind: Literal["force"] = "force"


def birth(network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> RateBrains:
    """The rate network at birth.

    Raises:
        ConfigError: if it has plastic inputs or clamped neurons, which these rules do not know.
    """
    assert isinstance(network, RateRNN)
    if network.plastic_input or network.clamped:
        what = "plastic_input" if network.plastic_input else "clamped neurons"
        raise ConfigError(f"network has {what}, which recursive least squares does not know; leave it out")
    return network.birth(spec, individuals, key, like.dtype, like.device)


def started(brains: RateBrains, key: Int[Tensor, " L"]) -> Float[Tensor, "P L N"]:
    """x ~ U(-start, start)."""
    here = brains.active().to(brains.leak)
    draw = 2 * rng.uniforms(key, brains.size).to(brains.leak) - 1
    return (brains.start[:, None] * here)[:, None] * draw


def feedback_weights(
    network: Any, brains: RateBrains, key: Int[Tensor, " L"], size: Float[Tensor, " P"]
) -> Float[Tensor, "P L N A"]:
    """W_fb; a neuron's depends on its place in the largest network that the genes allow."""
    draw = rng.uniforms(rng.fold(key, FEEDBACK), largest(network.units), brains.outputs)[:, : brains.size]
    here = brains.active().to(brains.leak)
    return (size[:, None] * here)[:, None, :, None] * (2 * draw.to(brains.leak) - 1)


def kept(brains: RateBrains, lifetimes: int) -> State:
    """What a trial needs of the network and no trial changes."""
    here = brains.active().to(brains.leak)
    each = {
        "leak": brains.leak * here,
        "white": brains.white * here,
        "gain": brains.input_gain,
        "start": brains.start,
        "noisy": torch.full_like(brains.start, float(brains.is_noisy)),
    }
    found = {name: value[:, None].expand(-1, lifetimes, *value.shape[1:]) for name, value in each.items()}
    inputs = brains.input_weights
    return {**found, "current": inputs.expand(len(here), *inputs.shape)}


def plant_of(network: RateRNN, state: State, teaches: bool) -> Plant:
    """What no trial changes, from the state."""
    leak = state["leak"][:, 0].contiguous()
    return Plant(
        state["fixed"], state["feedback"], leak, state["current"][0], state["gain"][:, 0].contiguous(),
        state["white"][:, 0].contiguous(), bool(state["noisy"].any()), str(network.activation), teaches,
    )  # fmt: skip


def again(plant: Plant, student: Student, size: Float[Tensor, " P"], key: Int[Tensor, " L"]) -> Student:
    """Started anew, teacher and all."""
    draw = 2 * rng.uniforms(key, plant.leak.shape[1]).to(plant.leak) - 1
    here = (plant.leak > 0).to(plant.leak)
    x = (size[:, None] * here)[:, None] * draw
    r = ACTIVATIONS[plant.activation].function(x) * here[:, None]
    told = times(student.learned, r)
    if not plant.teaches:
        return student._replace(x=x, told=told)
    return student._replace(x=x, told=told, shadow=x, aim=times(plant.fixed, r))


def shown(network: RateRNN, x: Float[Tensor, "T L I"]) -> Float[Tensor, "T L I_and_bias"]:
    """The input, after the constant 1 if the network has a bias."""
    return torch.nn.functional.pad(x, (1, 0), value=1.0) if network.bias else x
