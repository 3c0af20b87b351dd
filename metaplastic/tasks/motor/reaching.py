"""Reaching: hold still, see where to, wait, and go when the fixation point goes out. The trial, for any effector.

    hold    the hand rests at its start
    cue     the target is shown from here on (with `memory` in this epoch alone)
    delay   it must still be waited
    move    the hand must come within `radius` of the target and stay for `stay` ms

Until `move` the hand must keep within `zone` of its start, or what `early` says happens (`choices.py`). The trial ends
as soon as the hand has stayed (`ends` held), or at the end of `move`, when it must have stayed till then (deadline).

    reward of a step   -|seen - target| - effort |u|^2 in move; the distance only in the last step (`pays` end);
                       -1 when the zone is left                                                                     (1)
    score              1 if the hand stayed, else 0                                                                 (2)

Distances in m; `seen` is where the hand is seen, which `perturbation.py` may turn; u are the outputs in [-1, 1], which
drive the body at once, or with `lag` through a first-order filter. Shown are: fixation (1 until `move`); the target, as
its place, as a bump of 16 units at its direction (Yang et al. 2019), or one-hot; the seen place of the hand; and what
the body feels. Places are relative to the middle of the workspace, in units of 10 cm. Every trial begins with the hand
at rest at its start: the middle, or (`layout` anywhere) any place of the workspace. Presets: `reach_settings.py`.

The oracle knows the laws of its lifetime and follows the line of minimum jerk (Flash & Hogan 1985), straight in the
effector's own coordinates, by inverse dynamics and critically damped feedback. Chance and ceiling are what the random
policy and the oracle earn in simulated trials; with noise, delays or unknown laws that ceiling is only a bound.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.motor.perturbation import Perturbation, of_lifetime, of_trial, turned
from metaplastic.tasks.motor.reach_settings import ReachSettings
from metaplastic.tasks.motor.senses import Sense, at_rest, measured, noise_sd, remembered, sensed
from metaplastic.tasks.navigation.lived_scores import mean_score
from metaplastic.tasks.worlds import Happening, WorldState
from metaplastic.tasks.yang19.ring import bump

UNIT = 0.1
"""m, the unit of places in what is shown"""
RING = 16
"""units of the target's bump"""
UNHURRIED = 0.6
"""s, the longest time that the oracle takes to move"""
STIFF, STIFFEST = 0.2, 20.0
"""natural frequency of its feedback: radians a step, and rad/s at most"""
UNSEEN = (
    "preset",
    "trials",
    "test_trials",
    "feedback",
    "shown",
    "memory",
    "baseline",
    "reverses",
    "vision_delay",
    "proprioception_delay",
    "vision_noise",
    "proprioception_noise",
)
"""settings on which neither the random policy's score nor the oracle's depends"""


class Body(NamedTuple):
    """The effector, in its own coordinates: a place (m) or joint angles (rad)."""

    position: Float[Tensor, "*B 2"]
    velocity: Float[Tensor, "*B 2"]
    drive: Float[Tensor, "*B 2"] | None
    """the outputs after their lag; None without one"""


class Reaching(NamedTuple):
    """A trial."""

    edges: tuple[Int[Tensor, "*B"], ...]
    """first step after each epoch"""
    since: Int[Tensor, "*B"]
    """steps since the go of the frame that is shown; below 0 before it"""
    which: Int[Tensor, "*B"]
    """number of the target; 0 if it may be anywhere"""
    start: Float[Tensor, "*B 2"]
    target: Float[Tensor, "*B 2"]
    first: Float[Tensor, "*B 2"]
    """the effector's position with the hand at the start"""
    way: Float[Tensor, "*B 2"]
    """from there to its position with the hand seen at the target"""
    body: Body
    held: Int[Tensor, "*B"]
    """steps that the hand has now stayed at the target"""
    laws: Perturbation | None
    measurements: Float[Tensor, "*B D1 S"]
    """the last, as `senses.py` keeps them"""


class ReachTask(ReachSettings, ABC):
    """Reaching with some effector, which these say."""

    @property
    @abstractmethod
    def extent(self) -> float:
        """Farthest that the hand can come from a target, m."""

    @abstractmethod
    def pose(self, place: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
        """The effector's position with the hand at a place."""

    @abstractmethod
    def place(self, body: Body) -> Float[Tensor, "*B 2"]:
        """Where the hand is, m from the middle of the workspace."""

    @abstractmethod
    def anywhere(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
        """A place of the workspace."""

    @abstractmethod
    def felt(self, body: Body) -> Float[Tensor, "*B F"]:
        """What proprioception tells, as wide as `feels`."""

    @abstractmethod
    def moved(self, body: Body, drive: Float[Tensor, "*B 2"], laws: Perturbation | None) -> Body:
        """The body after a step; `drive` is in [-1, 1]."""

    @abstractmethod
    def drive_for(
        self, body: Body, acceleration: Float[Tensor, "*B 2"], laws: Perturbation | None
    ) -> Float[Tensor, "*B 2"]:
        """The drive that gives its position an acceleration, perhaps beyond [-1, 1]."""

    @property
    def senses(self) -> tuple[Sense, Sense]:
        """Vision of the hand, then proprioception."""
        return (
            Sense(2, round(self.vision_delay / self.dt), noise_sd(self.vision_noise, self.dt)),
            Sense(
                sum(self.feels.values()),
                round(self.proprioception_delay / self.dt),
                noise_sd(self.proprioception_noise, self.dt),
            ),
        )

    @property
    def spec(self) -> TaskSpec:
        """Criterion: nine tenths of the way from chance to ceiling."""
        chance, oracle = simulated(type(self), self.model_dump_json(exclude=set(UNSEEN)))
        target = {"place": 2, "ring": RING, "one_hot": self.targets}[self.shown]
        dearest = self.extent + 2 * self.effort + (self.early != "ignore")
        return self.describe(
            {"fixation": 1, "target": target, "hand": 2, **self.feels},
            2,
            dt=self.dt,
            trial_steps=self.trial_length()[1],
            chance=chance,
            ceiling=oracle,
            oracle=oracle,
            criterion=chance + 0.9 * (oracle - chance),
            epochs=self.epochs,
            action_names=self.outputs,
            reward_range=(-dearest, 0.0),
            differentiable=True,
            tags=self.tags_of_settings(),
        )

    def epoch_of(self, state: WorldState) -> Int[Tensor, "*B"]:
        """The epoch of the frame that is shown."""
        return sum(((state.step >= edge).long() for edge in state.world.edges[:-1]), torch.zeros_like(state.step))

    def birth(self, key: Int[Tensor, "*B"]) -> Perturbation | None:
        """The laws of a lifetime."""
        return of_lifetime(key, self.curl, self.rotation) if self.has_laws else None

    def begin(
        self, key: Int[Tensor, "*B"], life: Perturbation | None, trial: Int[Tensor, "*B"], before: Reaching | None
    ) -> Reaching:
        """At rest at the start."""
        del before
        if self.layout == "circle":
            which = rng.below(rng.word(key, 0), self.targets)
            angle = which * (2 * math.pi / self.targets)
            target = torch.stack((angle.cos(), angle.sin()), -1) * self.distance
            start = torch.zeros_like(target)
        else:
            which = torch.zeros_like(key)
            start, target = (self.anywhere(rng.fold(key, number)) for number in (2, 3))
        laws = None
        if life is not None:
            half = (self.baseline + self.lifetime_trials) // 2
            laws = of_trial(life, trial >= self.baseline, (trial >= half) & self.reverses)
        first = self.pose(start)
        way = self.pose(turned(target, start, laws, back=True)) - first
        body = Body(first.clone(), torch.zeros_like(start), torch.zeros_like(start) if self.lag else None)
        edges = tuple(accumulate(self.durations(key)))
        exact = self.measurement(body, start, laws)
        kept = at_rest(exact, self.senses, rng.fold(key, 4))
        return Reaching(edges, -edges[2], which, start, target, first, way, body, torch.zeros_like(key), laws, kept)

    def measurement(self, body: Body, start: Float[Tensor, "*B 2"], laws: Perturbation | None) -> Tensor:
        """What could be known of the body now: the hand's seen place, and what is felt [*B, S]."""
        return torch.cat((turned(self.place(body), start, laws) / UNIT, self.felt(body)), -1)

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Perturbation | None,
        world: Reaching,
        action: Float[Tensor, "*B 2"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Move, be paid (1) and judged (2)."""
        del life
        outputs = action.clamp(-1, 1)
        body = self.moved(*self.driven(world.body, outputs), world.laws)
        going, last = world.since >= 0, step + 1 >= world.edges[-1]
        away = length(turned(self.place(body), world.start, world.laws) - world.target)
        held = torch.where(going & (away <= self.radius), world.held + 1, 0)
        strayed = ~going & (length(self.place(body) - world.start) > self.zone)
        if self.early != "abort":  # only the step over the border
            strayed = strayed & (length(self.place(world.body) - world.start) <= self.zone)
        reward = self.paid(away, outputs, going, last) - strayed.to(away.dtype) * (self.early != "ignore")
        stayed = held >= round(self.stay / self.dt)
        ends = last | strayed if self.early == "abort" else last
        new = measured(self.measurement(body, world.start, world.laws), self.senses, key)
        world = world._replace(
            since=world.since + 1, body=body, held=held, measurements=remembered(world.measurements, new)
        )
        score = stayed.to(torch.float32)
        return Happening(world, reward, ends | stayed if self.ends == "held" else ends, score, stayed.to(torch.int64))

    def paid(self, away: Tensor, outputs: Tensor, going: Tensor, last: Tensor) -> Float[Tensor, "*B"]:
        """(1), without what straying costs."""
        due = going if self.pays == "always" else last
        return -away * due - self.effort * outputs.square().sum(-1) * going

    def driven(self, body: Body, outputs: Float[Tensor, "*B 2"]) -> tuple[Body, Float[Tensor, "*B 2"]]:
        """What the outputs make of the drive, and the body with it."""
        if body.drive is None:
            return body, outputs
        drive = outputs + (body.drive - outputs) * self.keeps
        return body._replace(drive=drive), drive

    @property
    def keeps(self) -> float:
        """The part of the drive that is left after a step of other outputs."""
        return math.exp(-self.dt / self.lag)

    def look(self, life: Perturbation | None, world: Reaching, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """Fixation, target, the hand and the body."""
        del life
        visible = step >= world.edges[0]
        if self.memory:
            visible = visible & (step < world.edges[1])
        fixation = (world.since < 0).to(torch.float32)[..., None]
        known = sensed(world.measurements, self.senses)
        return torch.cat((fixation, self.target_code(world) * visible[..., None], known), -1)

    def target_code(self, world: Reaching) -> Tensor:
        """How the target is shown [*B, C]."""
        if self.shown == "place":
            return world.target / UNIT
        if self.shown == "ring":
            return bump(world.which * (2 * math.pi / self.targets), RING)
        return one_hot(world.which, self.targets)

    def target(self, life: Perturbation | None, world: Reaching) -> Float[Tensor, "*B 2"]:
        """Along the line of minimum jerk, by inverse dynamics and feedback."""
        del life
        body, seconds = world.body, self.dt / 1000
        move = (self.timing["move"].ends(self.dt)[0] * self.dt - self.stay) / 1000
        done, rate, bend = minimum_jerk((world.since + 1) * seconds, min(UNHURRIED, 0.75 * move))
        stiffness = min(STIFFEST, STIFF / seconds)
        off, slip = world.first + world.way * done - body.position, world.way * rate - body.velocity
        wish = self.drive_for(body, world.way * bend + 2 * stiffness * slip + stiffness**2 * off, world.laws)
        if body.drive is not None:
            wish = (wish - body.drive * self.keeps) / (1 - self.keeps)
        return wish.clamp(-1, 1)


def length(vector: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B"]:
    """Its length; 1e-9 more where it is 0, so that it has a gradient there."""
    return (vector.square().sum(-1) + 1e-18).sqrt()


def minimum_jerk(time: Float[Tensor, "*B"], whole: float) -> tuple[Tensor, Tensor, Tensor]:
    """The part of the way that is done after `time` s of a movement that takes `whole` s, and its derivatives
    (1/s, 1/s^2), each [*B, 1]; nothing before 0 and nothing more after its end."""
    p = (time / whole).clamp(0, 1)[..., None]
    done = p**3 * (10 - 15 * p + 6 * p**2)
    return done, 30 * p**2 * (1 - p) ** 2 / whole, 60 * p * (1 - p) * (1 - 2 * p) / whole**2


@lru_cache
def simulated(kind: type[ReachTask], settings: str) -> tuple[float, float]:
    """Mean score of the random policy and of the oracle; settings as JSON."""
    task = kind.model_validate_json(settings)
    steps = task.trial_length()[1]
    return mean_score(task, "random", steps, 2, lives=8192), mean_score(task, "oracle", steps, 2, lives=512)
