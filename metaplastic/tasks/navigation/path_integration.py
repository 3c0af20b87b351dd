"""Path integration: where am I, given where I started and how I moved? (Cueva & Wei 2018; Sorscher et al. 2019)

A trial shows the start in its first frame and then the velocity of a rat's run through a square box (`foraging_walk`)
for `frames` frames; the outputs should tell its position after each.

    targets `xy`        x and y, as parts of half the box
    targets `places`    N place cells at random places c_i of the box (the same in every lifetime):
                        p_i = softmax(-d_i^2 / 2 s^2) - softmax(-d_i^2 / 2 k s^2), less its minimum, divided by its sum
    decoded position    xy as it is; of place cells the mean place of the three most active ones
    error               mean distance in m of where outputs and targets point to;  reward = -error               (1)
    score               1 - error / box, at least 0                                                              (2)

`sorscher19`: a box of 2.2 m, steps of 20 ms, 20 frames, 512 place cells, s = .12 m, k = 2, inputs as displacements a
step; a trial counts as right at an error of 0.1 m. There the place cells' code of the start sets the network's state;
here it is shown. Their error is taken to the true position, ours to what the target itself decodes to.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec
from metaplastic.tasks.base import one_of
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.navigation.foraging_walk import walk
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.trials import Drawn, Frame

Targets = Literal["xy", "places"]

SURROUND = 2.0
"""k, variance of a place field's surround over that of its centre"""
RIGHT = 0.1
"""m of error at which a trial counts as right"""
TOP = 3
"""place cells that a position is decoded from"""
LIVES = 2048
"""trials from which chance is computed"""

_CENTRES: dict[tuple[int, float, str], Tensor] = {}
"""(cells, box, device) -> their places [N, 2]: made once a process. A plain dict: torch.compile sees through it"""


class PathIntegration(ReadoutTask):
    """Say where you are from how you moved."""

    references = (
        "Cueva & Wei 2018, Emergence of grid-like representations by training recurrent neural networks to perform "
        "spatial localization, ICLR",
        "Banino et al. 2018, Vector-based navigation using grid-like representations in artificial agents, Nature "
        "557:429",
        "Sorscher et al. 2019, A unified theory for the origin of grid cells through the lens of pattern formation, "
        "NeurIPS",
    )
    tags = ("navigation", "memory", "trials", "readout")
    epochs = ("start", "run")
    best_reward = 0.0
    presets = MappingProxyType(
        {
            "sorscher19": MappingProxyType({"targets": "places", "gain": 0.02}),
            "sorscher19_long": MappingProxyType({"targets": "places", "gain": 0.02, "frames": 100}),
        }
    )

    kind: Literal["PathIntegration-v0"] = "PathIntegration-v0"
    targets: Annotated[Targets, BeforeValidator(one_of(Targets))] = "xy"
    """what the outputs are"""
    frames: int = Field(default=20, ge=1, le=1000)
    """steps of a run"""
    dt: float = Field(default=20.0, gt=0)
    """ms a step"""
    box: float = Field(default=2.2, gt=0.1)
    """m, width of the box"""
    periodic: bool = False
    """no walls: who leaves on one side comes in on the other"""
    gain: float = Field(default=1.0, gt=0)
    """what velocities in m/s are multiplied with; 0.02: displacements of 20 ms"""
    cells: int = Field(default=512, ge=3, le=4096)
    """N, place cells"""
    field: float = Field(default=0.12, gt=0)
    """s, m"""

    @property
    def outputs_count(self) -> int:
        """A: 2 or the place cells."""
        return 2 if self.targets == "xy" else self.cells

    @property
    def spec(self) -> TaskSpec:
        """Chance: what outputs from U(-1, 1) score in `LIVES` other trials."""
        size = self.outputs_count
        return TaskSpec(
            id=self.kind,
            channels={"velocity": (0, 2), "start": (2, 2 + size)},
            observations=2 + size,
            actions=size,
            response="readout",
            dt=self.dt,
            trial_steps=self.frames + 1,
            trial_types=1,
            chance=random_score(self.model_dump_json(exclude={"preset", "trials", "test_trials"})),
            ceiling=1.0,
            criterion=max(1 - RIGHT / self.box, 0.9),
            tags=self.tags,
            cite=self.references,
            epochs=self.epochs,
            reward_range=(-2 * self.box, 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """A run."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        run = walk(own, self.frames, seconds=self.dt / 1000, box=self.box, periodic=self.periodic)
        return Drawn(torch.zeros_like(trial), torch.full_like(trial, self.frames + 1), run)

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The start, or how it moved; the position after it."""
        position, velocity = drawn.values
        here = row(position, t)
        moved = row(velocity, (t - 1).clamp(min=0))
        is_start = (t == 0)[..., None]
        wanted = self.code(here)
        x = torch.cat((moved * ~is_start * self.gain, wanted * is_start), -1)
        return Frame(x, wanted, (t > 0).to(torch.float32), (t > 0).to(torch.int8))

    def code(self, position: Float[Tensor, "*T 2"]) -> Float[Tensor, "*T A"]:
        """A position as outputs."""
        if self.targets == "xy":
            return position / (self.box / 2)
        away = (position[..., None, :] - centres(self.cells, self.box, position.device)).abs()
        if self.periodic:
            away = torch.minimum(away, self.box - away)
        near = away.square().sum(-1) / (-2 * self.field**2)
        code = near.softmax(-1) - (near / SURROUND).softmax(-1)
        code = code - code.amin(-1, keepdim=True)
        return code / code.sum(-1, keepdim=True)

    def decode(self, output: Float[Tensor, "*T A"]) -> Float[Tensor, "*T 2"]:
        """Where outputs point to, m."""
        if self.targets == "xy":
            return output * (self.box / 2)
        most = output.topk(TOP, -1).indices
        places = centres(self.cells, self.box, output.device).index_select(0, most.reshape(-1))
        first, *others = places.reshape(*most.shape, 2).unbind(-2)
        if not self.periodic:
            return (first + others[0] + others[1]) / TOP
        half = self.box / 2
        steps = [(other - first + half).remainder(self.box) - half for other in others]
        return first + (steps[0] + steps[1]) / TOP

    def distance(self, one: Float[Tensor, "*T 2"], other: Float[Tensor, "..."]) -> Float[Tensor, "*T"]:
        """m between positions."""
        away = (one - other).abs()
        if self.periodic:
            away = away.remainder(self.box)
            away = torch.minimum(away, self.box - away)
        return (away[..., 0].square() + away[..., 1].square()).sqrt()

    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Distances in (1), and steps."""
        off = self.distance(self.decode(output), self.decode(y)).double() * w
        return torch.stack((off, w.double().expand_as(off)), -1)

    def verdict(self, tally: Float[Tensor, "*B 2"]) -> Judgement:
        """(1) and (2)."""
        error = (tally[..., 0] / tally[..., 1].clamp(min=1)).to(torch.float32)
        return Judgement(-error, (1 - error / self.box).clamp(0, 1), (error <= RIGHT).to(torch.float32))


def centres(cells: int, box: float, device: torch.device | str) -> Float[Tensor, "N 2"]:
    """Where the place cells are, m; the same in every process."""
    key = (cells, box, str(device))
    if key not in _CENTRES:
        key_of_all = rng.fold(rng.fold(rng.root(0), rng.TASK), cells)
        _CENTRES[key] = ((rng.uniforms(key_of_all, cells, 2) - 0.5) * box).to(device)
    return _CENTRES[key]


@lru_cache
def random_score(settings: str) -> float:
    """Mean score of outputs from U(-1, 1), over `LIVES` trials that nobody else lives; settings as JSON."""
    task = PathIntegration.model_validate_json(settings)
    key = rng.fold(rng.root(0), torch.arange(LIVES))
    drawn = task.draw(key, None, torch.zeros_like(key))
    total = torch.zeros(LIVES, 2, dtype=torch.float64)
    for t in range(1, task.frames + 1):
        frame = task.frame(drawn, torch.full_like(key, t))
        output = rng.uniforms(rng.fold(rng.fold(key, 3), t), task.outputs_count) * 2 - 1
        total += task.tally(output, frame.y, frame.w)
    return task.verdict(total).score.double().mean().item()
