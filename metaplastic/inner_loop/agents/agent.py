"""Agents: P brains of one form, all their weights in one tensor [P, N], and one step of all of them.

A brain has one core (policy and value on one network) or two (a critic, then an actor); `networks/gated.py` says what
they are told. In the order of one step t: the critic hears r_{t-1} and gives V_t; with `dopamine` the prediction error

    delta_{t-1} = r_{t-1} + gamma V_t - V_{t-1}                                                              (1)

goes to the actor, which answers with the policy. No gradient goes through delta.
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task, TaskSpec, Values
from metaplastic.inner_loop.agents.cells import CELLS, GATES, Cell, Tape
from metaplastic.inner_loop.agents.episodes import bare
from metaplastic.inner_loop.networks.gated import Gated
from metaplastic.inner_loop.networks.sizes import active, largest, padded


class Core(NamedTuple):
    """One recurrent network of a brain."""

    name: str
    cell: type[Cell]
    told: dict[str, tuple[int, int]]
    """slices [first, end) of its input: observation, action, reward or rpe, time"""
    units: int
    """H of this batch"""
    heads: dict[str, tuple[int, int]]
    """rows [first, end) of its read-out: policy, value"""

    @property
    def inputs(self) -> int:
        """X."""
        return max(end for _, end in self.told.values())

    @property
    def rows(self) -> int:
        """Rows of the read-out."""
        return max(end for _, end in self.heads.values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its parameters; of one brain."""
        h = self.units
        return {
            "cell.weight": (GATES * h, self.inputs + h),
            "cell.bias": (GATES * h,),
            "head.weight": (self.rows, h),
            "head.bias": (self.rows,),
            "first.hidden": (h,),
            "first.cell": (h,),
        }


class Agents(NamedTuple):
    """P brains."""

    cores: tuple[Core, ...]
    weights: Float[Tensor, "P N"]
    """all parameters of a brain side by side"""
    units: Int[Tensor, " P"]
    """units that each individual has; the weights of the others are 0 and stay so"""
    learned_start: bool

    def parameter(self, name: str) -> Float[Tensor, "P ..."]:
        """A view of one parameter: `agent.cell.weight`; differentiable with respect to `weights`."""
        first, end, shape = self.places()[name]
        return self.weights[:, first:end].unflatten(1, shape)

    def places(self) -> dict[str, tuple[int, int, tuple[int, ...]]]:
        """name -> columns [first, end) of `weights`, and shape."""
        found, first = {}, 0
        for core in self.cores:
            for name, shape in core.shapes().items():
                end = first + math.prod(shape)
                found[f"{core.name}.{name}"] = first, end, shape
                first = end
        return found

    def tapes(self, steps: int, lanes: int) -> list[Tape]:
        """Blank tapes, one a core."""
        like = self.weights
        return [Tape.blank(len(like), steps, lanes, core.inputs, core.units, like) for core in self.cores]

    def core_of(self, head: str) -> int:
        """Which core has this head."""
        return next(index for index, core in enumerate(self.cores) if head in core.heads)

    def checksum(self) -> str:
        """SHA-256 of all weights: equal before and after whatever must not have changed them."""
        return hashlib.sha256(self.weights.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def born(
    network: Gated,
    task: Task,
    individuals: int,
    key: Int[Tensor, "*P_or_1"],
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Agents:
    """P brains at birth for a task; `key` is K(INIT), one for all individuals or one each."""
    spec = bare(task).spec
    units = active(network.units, individuals)
    size = padded(network.units, int(units.max()))
    cores = _cores(network, spec, size)
    blank = Agents(cores, torch.zeros(individuals, 0), units, network.learned_start)
    whole = torch.zeros(individuals, max(end for _, end, _ in blank.places().values()))
    agents = blank._replace(weights=whole)
    gain = network.policy_gain.data if isinstance(network.policy_gain, Values) else torch.tensor(network.policy_gain)
    for number, (core, large) in enumerate(zip(cores, _cores(network, spec, largest(network.units)), strict=True)):
        _fill(agents, core, _draws(large, rng.fold(key, number)), large.units, gain.to(torch.float32))
    return agents._replace(weights=whole.to(device=device, dtype=dtype), units=units.to(device))


def _fill(agents: Agents, core: Core, draws: dict[str, Tensor], largest_units: int, gain: Tensor) -> None:
    """Initial weights of one core: the draws at the places of the largest network, 0 where a unit is missing."""
    size, inputs = core.units, core.inputs
    exists = torch.arange(size) < agents.units[:, None]
    bound = agents.units.to(torch.float32).rsqrt()[:, None, None]
    rows = torch.arange(GATES * size) // size * largest_units + torch.arange(GATES * size) % size
    columns = torch.cat((torch.arange(inputs), inputs + torch.arange(size)))
    heard = torch.nn.functional.pad(exists, (inputs, 0), value=True)
    post = exists.repeat(1, GATES)
    cell = draws["cell.weight"][:, rows][:, :, columns] * bound * post[:, :, None] * heard[:, None]
    reads = core.cell.reads(inputs, size)
    head = draws["head.weight"][:, :, :size] * bound * exists[:, None]
    if "policy" in core.heads:
        first, end = core.heads["policy"]
        head[:, first:end] *= gain.reshape(-1, 1, 1)
    agents.parameter(f"{core.name}.cell.weight").copy_(cell if reads is None else cell * reads)
    agents.parameter(f"{core.name}.cell.bias").copy_(draws["cell.bias"][:, rows] * bound[:, :, 0] * post)
    agents.parameter(f"{core.name}.head.weight").copy_(head)


def _cores(network: Gated, spec: TaskSpec, units: int) -> tuple[Core, ...]:
    cell = CELLS[network.kind]  # pyright: ignore[reportAttributeAccessIssue]
    value, policy = network.expectiles, spec.actions
    if network.networks == "shared":
        heads = {"policy": (0, policy), "value": (policy, policy + value)}
        return (Core("agent", cell, _told(network, spec, "reward"), units, heads),)
    hears = "rpe" if network.networks == "dopamine" else "reward"
    return (
        Core("critic", cell, _told(network, spec, "reward"), units, {"value": (0, value)}),
        Core("actor", cell, _told(network, spec, hears), units, {"policy": (0, policy)}),
    )


def _told(network: Gated, spec: TaskSpec, reward: str) -> dict[str, tuple[int, int]]:
    widths = {"observation": spec.observations}
    widths |= {"action": spec.actions} if network.action_input else {}
    widths |= {reward: 1} if network.reward_input else {}
    widths |= {"time": 1} if network.time_input else {}
    found, first = {}, 0
    for name, width in widths.items():
        found[name] = first, first + width
        first += width
    return found


def _draws(core: Core, key: Tensor) -> dict[str, Float[Tensor, "..."]]:
    """U(-1, 1) for every weight of the largest network."""
    names = ("cell.weight", "cell.bias", "head.weight")
    return {
        name: 2 * rng.uniforms(rng.fold(key, place), *core.shapes()[name]).reshape(-1, *core.shapes()[name]) - 1
        for place, name in enumerate(names)
    }
