"""The settings of reaching tasks, their presets, and what a wrong one is told.

Presets: `center_out`, eight targets at 10 cm (Georgopoulos et al. 1982), with an instructed delay. `random_target`,
episodes of 1 s (MotorNet's task of that name, Codol et al. 2024). `miconi17`, 700 ms, one of two targets by a one-hot
input, paid by the distance at the end (Miconi 2017, whose arm has muscles and whose targets are 40 cm apart).
`curl_field`, b = 13 N s/m (Shadmehr & Mussa-Ivaldi 1994), and `visuomotor_rotation`, 30 to 60 degrees (Krakauer et al.
2000), with signs of each lifetime's own; the last two publications' numbers are recalled. Zone, radius, stay and epochs
are ours.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from metaplastic.core import wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.choices import Early
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epoch_times import EpochTimes
from metaplastic.tasks.worlds import WorldTask

Layout = Literal["circle", "anywhere"]
Shown = Literal["place", "ring", "one_hot"]
Ends = Literal["held", "deadline"]
Pays = Literal["always", "end"]

AT_ONCE = MappingProxyType({"hold": 0, "cue": 0, "delay": 0})
ADAPTATION = MappingProxyType({"timing": MappingProxyType({"hold": 200, "cue": 0, "delay": 0}), "feedback": True})
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "center_out": MappingProxyType({}),
        "random_target": MappingProxyType({"layout": "anywhere", "ends": "deadline", "timing": AT_ONCE}),
        "miconi17": MappingProxyType(
            {
                "targets": 2,
                "shown": "one_hot",
                "ends": "deadline",
                "pays": "end",
                "stay": 10.0,
                "timing": MappingProxyType({**AT_ONCE, "move": 700}),
            }
        ),
        "curl_field": MappingProxyType({**ADAPTATION, "curl": 13.0}),
        "visuomotor_rotation": MappingProxyType({**ADAPTATION, "rotation": (30.0, 60.0)}),
    }
)
"""the tasks, on every effector"""


class ReachSettings(EpochTimes, WorldTask, ABC):
    """What is chosen of a reaching task, whatever moves."""

    answered_by = "control"
    epochs = ("hold", "cue", "delay", "move")
    responses = ("move",)
    references = (
        "Georgopoulos, Kalaska, Caminiti & Massey 1982, On the relations between the direction of two-dimensional arm "
        "movements and cell discharge in primate motor cortex, J Neurosci 2:1527",
        "Shadmehr & Mussa-Ivaldi 1994, Adaptive representation of dynamics during learning of a motor task, "
        "J Neurosci 14:3208",
        "Krakauer, Pine, Ghilardi & Ghez 2000, Learning of visuomotor transformations for vectorial planning of "
        "reaching trajectories, J Neurosci 20:8916",
        "Miconi 2017, Biologically plausible learning in recurrent neural networks reproduces neural dynamics "
        "observed during cognitive tasks, eLife 6:e20899",
        "Codol, Michaels, Kashefi, Pruszynski & Gribble 2024, MotorNet, a Python toolbox for controlling "
        "differentiable biomechanical effectors with artificial neural networks, eLife 12:RP88591",
    )
    tags = ("motor", "continuous", "reward")
    presets = PRESETS
    feels: ClassVar[Mapping[str, int]]
    """widths of the channels of proprioception"""
    outputs: ClassVar[tuple[str, str]]
    """names of the outputs"""

    dt: float = Field(default=10.0, gt=0)
    """ms a step"""
    timing: dict[str, Duration] = times(
        hold={"uniform": [200, 500]}, cue=500, delay={"choice": [0, 500, 1000]}, move=1000
    )
    """epoch -> ms, or how it is drawn"""
    layout: Annotated[Layout, BeforeValidator(one_of(Layout))] = "circle"
    """circle: targets round the middle; anywhere: start and target"""
    targets: int = Field(default=8, ge=1, le=64)
    """on the circle; the first lies to the right"""
    distance: float = Field(default=0.1, gt=0)
    """radius of the circle, m"""
    shown: Annotated[Shown, BeforeValidator(one_of(Shown))] = "place"
    """the target as its place, as a bump of 16 units, or one-hot"""
    memory: bool = False
    """the target is shown in the cue alone"""
    radius: float = Field(default=0.015, gt=0)
    """m from the target that count as there"""
    stay: float = Field(default=200.0, gt=0)
    """ms that the hand must stay there"""
    ends: Annotated[Ends, BeforeValidator(one_of(Ends))] = "held"
    """the trial: once the hand has stayed, or at the deadline"""
    pays: Annotated[Pays, BeforeValidator(one_of(Pays))] = "always"
    """when distance is paid for (1)"""
    effort: float = Field(default=1e-3, ge=0)
    """price of |u|^2"""
    zone: float = Field(default=0.02, gt=0)
    """m from the start that the hand may move before the go"""
    early: Annotated[Early, BeforeValidator(one_of(Early))] = "abort"
    """what leaving the zone does: abort, penalise (once each time) or ignore"""
    curl: float = Field(default=0.0, ge=0, le=50)
    """b of the force field, N s/m; its sign is the lifetime's"""
    rotation: tuple[float, float] = (0.0, 0.0)
    """degrees by which the hand's view is turned, at least and at most; its sign is the lifetime's"""
    baseline: int = Field(default=0, ge=0)
    """first trials of a lifetime, without field and rotation"""
    reverses: bool = False
    """their signs turn about in the middle of the trials that have them"""
    lag: float = Field(default=0.0, ge=0)
    """time constant from outputs to what drives the body, ms; about 40 in muscles"""
    vision_delay: float = Field(default=0.0, ge=0)
    """ms; 70 in MotorNet"""
    proprioception_delay: float = Field(default=0.0, ge=0)
    """ms; 20 in MotorNet"""
    vision_noise: float = Field(default=0.0, ge=0)
    """of the hand's seen place, units of 10 cm sqrt(ms): its standard deviation at a step is this / sqrt(dt)"""
    proprioception_noise: float = Field(default=0.0, ge=0)
    """of what is felt, its unit times sqrt(ms)"""

    @model_validator(mode="after")
    def _can_be_done(self) -> ReachSettings:
        for name in ("stay", "vision_delay", "proprioception_delay"):
            why = Duration("constant", (getattr(self, name),)).complaint(self.dt)
            if why:
                raise wrong(f"{name} {why}")
        shortest = self.timing["move"].ends(self.dt)[0] * self.dt
        if shortest < 2 * self.stay:
            raise wrong(
                f"stay is {self.stay:g} ms and move may last only {shortest:g} ms; wanted move to last at least "
                f"{2 * self.stay:g} ms, so that the hand can also get there"
            )
        if self.memory and not self.timing["cue"].ends(self.dt)[0]:
            raise wrong("memory is true, but cue may last 0 ms, and nothing else shows the target; make cue longer")
        self._fits_layout()
        return self

    def _fits_layout(self) -> None:
        low, high = self.rotation
        if not 0 <= low <= high <= 180:
            raise wrong(f"rotation is [{low:g}, {high:g}] degrees, wanted 0 <= least <= most <= 180")
        if self.layout == "anywhere" and self.shown != "place":
            raise wrong(f"shown is {self.shown!r} with targets anywhere, wanted 'place': nothing else tells how far")
        if self.layout == "anywhere" and high > 0:
            raise wrong("rotation turns targets out of the workspace, wanted layout 'circle' with it, or [0, 0]")
        if self.layout == "circle" and self.distance <= self.radius + self.zone:
            raise wrong(
                f"distance is {self.distance:g} m, wanted more than radius + zone = {self.radius + self.zone:g} m, so "
                "that resting is no reaching"
            )

    @property
    def has_laws(self) -> bool:
        """Whether there is a field or a rotation."""
        return self.curl > 0 or self.rotation[1] > 0

    def tags_of_settings(self) -> tuple[str, ...]:
        """With laws that differ from life to life it is meta-learning."""
        return (*self.tags, "meta-learning") if self.has_laws else self.tags
