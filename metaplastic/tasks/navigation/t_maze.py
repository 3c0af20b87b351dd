"""T-mazes with a reward that moves (Blynel & Floreano 2003; Soltoggio et al. 2008; Risi & Stanley 2010).

An agent walks up the stem of a T (`double`: of a tree of Ts with four ends), turns, collects what lies at an end, and
returns home (`home`). One end holds the high reward, the others the low one. Which it is changes a few times in a
lifetime, so it must be learned and learned anew.

    a step      turn left, go forward, turn right; running into a wall ends the trial
    a trial     ends at home, in a wall, or when its steps are used up, of which a shortest way needs all; without
                `home` it ends at the first end. What has just been reached is seen in one more step, in which nothing
                can happen any more
    a lifetime  the high reward moves `moves` times, move i at trial i trials / (moves + 1) + U{-r .. r},
                r = `variation` of a segment; the places are 0, 1, .. (modulo the ends), shuffled

    score = (reward + 0.4) / 1.4,  0.4 the greatest loss, 1.4 the range of a trial's rewards                     (1)

Inputs are `features` (turning point, maze end, home, and the reward's colour: high 1, low .2, in one step) or `range`
(a wall to the left, ahead, to the right, and the colour). Rewards, sizes and limits are those of the T-maze in AHNI
(Coleman 2013), a published program of this scheme. Departures: its moves fall on every other trial of their range
only, here on all of it; who reaches an end with the last step is late at once, not a step later.

`soltoggio08` has 100 trials and `risi10` range finders and no way home; both are recalled, not checked. The abstract
mazes `choice` and `choice_double` are ours: one step a turn, left or right; the first step of a trial shows the colour
of what the last one brought. `TMazeSteering-v0` is the maze for networks with one output o: left below -.3, right
above .3.
"""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.navigation.grid_maze_tables import at
from metaplastic.tasks.navigation.t_maze_tables import FORWARD, Maze, maze, start, step_limit
from metaplastic.tasks.navigation.t_maze_values import random_walk, searched
from metaplastic.tasks.worlds import Happening, WorldTask

Sight = Literal["features", "range"]

STEERING = 0.3
"""output beyond which an agent with one output turns"""


class Places(NamedTuple):
    """What a lifetime draws."""

    moves: Int[Tensor, "*B S"]
    """the trials before which the high reward moves"""
    order: Int[Tensor, "*B N"]
    """the ends that hold it, in turn"""


class Walk(NamedTuple):
    """Where an agent is, and how its trial goes."""

    position: Int[Tensor, "*B"]
    good: Int[Tensor, "*B"]
    """the end that holds the high reward"""
    collected: Int[Tensor, "*B"]
    """0 nothing yet, 1 the low reward, 2 the high one"""
    colour: Float[Tensor, "*B"]
    """what is seen of a reward"""
    earned: Float[Tensor, "*B"]
    """reward of this trial so far"""
    over: Int[Tensor, "*B"]
    """0 going on, 1 over, 2 over and right"""


class _TMaze(WorldTask):
    """What both mazes are; they differ in how an agent says where it goes."""

    references = (
        "Blynel & Floreano 2003, Exploring the T-maze, EvoWorkshops, LNCS 2611:593",
        "Soltoggio et al. 2008, Evolutionary advantages of neuromodulated plasticity in dynamic, reward-based "
        "scenarios, ALife XI",
        "Risi & Stanley 2010, Indirectly encoding neural plasticity as a pattern of local rules, SAB, LNCS 6226:533",
    )
    tags = ("navigation", "maze", "reward", "meta-learning")

    trials: int = Field(default=200, ge=1)
    """trials of a lifetime in which a learner may learn"""
    double: bool = False
    """two turns and four ends, instead of one and two"""
    home: bool = True
    """the agent must return"""
    passage: int = Field(default=3, ge=1, le=20)
    """cells between two turning points"""
    inputs: Annotated[Sight, BeforeValidator(one_of(Sight))] = "features"
    """what is seen of the maze"""
    moves: int = Field(default=3, ge=0, le=20)
    """how often the high reward moves in the learning trials"""
    variation: float = Field(default=0.2, ge=0, lt=0.5)
    """greatest shift of a move, as a part of the trials between two moves; 0: nothing is shuffled either"""
    high: float = Field(default=1.0, gt=0)
    """the high reward"""
    low: float = Field(default=0.1, ge=0)
    """the low reward"""
    crash: float = Field(default=-0.4, le=0)
    """for running into a wall"""
    late: float = Field(default=-0.3, le=0)
    """for not being home in time"""
    high_colour: float = 1.0
    """what is seen of the high reward"""
    low_colour: float = 0.2
    """what is seen of the low one"""

    @abstractmethod
    def turn(self, action: Tensor) -> Int[Tensor, "*B"]:
        """The action of the maze (0 left, 1 forward, 2 right) in what the agent does."""

    @property
    @abstractmethod
    def odds(self) -> tuple[float, ...]:
        """Probability of each of them under the random policy."""

    @property
    def ends(self) -> int:
        """K, ends of the maze."""
        return 4 if self.double else 2

    @property
    def is_abstract(self) -> bool:
        """Whether a step is a whole passage."""
        return False

    @property
    def limit(self) -> int:
        """Steps in which a trial must be done."""
        return step_limit(self.passage, self.double, self.home, self.is_abstract)

    @property
    def worst(self) -> float:
        """The least that a trial can bring."""
        return min(self.crash, self.late, 0.0)

    def graded(self, reward: float) -> float:
        """(1)"""
        return (reward - self.worst) / (self.high - self.worst)

    def maze(self, device: torch.device) -> Maze:
        """The tables."""
        return maze(self.passage, self.double, self.is_abstract, device)

    @property
    def spec(self) -> TaskSpec:
        """Chance: the random walk's Markov chain; ceiling: a searcher, both in `t_maze_values`. Criterion: after each
        move every end has been tried (the performance of 1 in the published program)."""
        place = (self.passage, self.double, self.home and not self.is_abstract, self.is_abstract)
        prices = (self.high, self.low, self.crash, self.late if self.home else 0.0)
        chance = self.graded(random_walk(place, self.odds, self.limit, prices))
        miss = (self.high - self.low) / (self.high - self.worst) / self.trials
        ceiling = 1 - miss * searched(self.ends, self.trials, self.moves, self.variation > 0)
        learned = 1 - miss * (self.moves + 1) * (self.ends - 1)
        names = ("turning_point", "maze_end", "home") if self.inputs == "features" else ("left", "ahead", "right")
        return self.describe(
            {**dict.fromkeys(names, 1), "reward": 1},
            len(self.odds) if self.answered_by == "act" else 1,
            trial_steps=self.limit + (not self.is_abstract),
            chance=chance,
            ceiling=ceiling,
            oracle=1.0,
            criterion=min(ceiling, max(learned, (chance + ceiling) / 2)),
            reward_range=(self.worst, self.high),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Places:
        """When the high reward moves, and where to."""
        count = torch.arange(self.moves + 1, device=key.device)
        segment = self.trials / (self.moves + 1)
        spread = round(segment * self.variation)
        moves = (count[1:] * self.trials / (self.moves + 1)).round().to(torch.int64)
        shifts = rng.below(rng.words(rng.fold(key, 0), self.moves), 2 * spread + 1) - spread
        order = (count % self.ends).expand(*key.shape, -1)
        if self.variation > 0:
            order = rng.permutation(rng.fold(key, 1), self.moves + 1) % self.ends
        return Places(moves + shifts, order)

    def begin(self, key: Int[Tensor, "*B"], life: Places, trial: Int[Tensor, "*B"], before: Walk | None) -> Walk:
        """At home, facing up; in an abstract maze the last reward is still seen."""
        del key
        segment = (life.moves <= trial[..., None]).sum(-1, keepdim=True)
        good = life.order.gather(-1, segment).squeeze(-1)
        nothing = torch.zeros_like(trial, dtype=torch.float32)
        colour = before.colour if before is not None and self.is_abstract else nothing
        first = torch.full_like(trial, start(self.passage, self.is_abstract))
        none = torch.zeros_like(trial)
        return Walk(first, good, none, colour, nothing.clone(), none.clone())

    def advance(
        self, key: Int[Tensor, "*B"], life: Places, world: Walk, action: Tensor, step: Int[Tensor, "*B"]
    ) -> Happening:
        """Turn or go; collect, come home, crash or be late."""
        del key, life
        tables, going = self.maze(step.device), world.over == 0
        moved = at(tables.after, world.position * len(self.odds) + self.turn(action))
        position = torch.where(going, moved, world.position)
        end = at(tables.end, position)
        found = going & (end >= 0) & (world.collected == 0)
        is_high = found & (end == world.good)
        collected = world.collected + found + is_high
        is_back = going & (world.collected > 0) & at(tables.is_home, position) if self.home else found
        done = found if self.is_abstract else is_back
        crashed = going & at(tables.is_wall, position)
        late = going & ~done & ~crashed & (step + 1 >= self.limit)
        paid = torch.where(is_high, self.high, torch.where(found, self.low, 0.0))
        fined = torch.where(crashed, self.crash, torch.where(late, self.late if self.home else 0.0, 0.0))
        reward = paid + fined
        earned = world.earned + reward
        colour = torch.where(is_high, self.high_colour, torch.where(found, self.low_colour, 0.0))
        over = world.over + (done | crashed | late) + (done & (collected == 2))
        walk = Walk(position, world.good, collected, colour, earned, over)
        ends = (over > 0) if self.is_abstract else ~going
        score = ((earned - self.worst) / (self.high - self.worst)).clamp(0, 1)
        return Happening(walk, reward, ends, score, (over == 2).to(torch.int64))

    def look(self, life: Places, world: Walk, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
        """The maze from here, and the colour of a reward that has just been reached; home is not marked at first."""
        del life
        tables = self.maze(step.device)
        if self.inputs == "range":
            return torch.cat((at(tables.ranges, world.position), world.colour[..., None]), -1)
        seen = at(tables.features, world.position)
        if not self.is_abstract:
            seen = seen * (step > 0)[..., None]
        return torch.cat((seen, world.colour[..., None]), -1)

    def way(self, world: Walk) -> Int[Tensor, "*B"]:
        """The maze's action on a shortest way to the high reward, then home."""
        tables = self.maze(world.position.device)
        goal = torch.where(world.collected > 0, self.ends, world.good)
        return at(tables.way, goal * len(tables.end) + world.position)


class TMaze(_TMaze):
    """Find the reward at an end of a T-maze, and find it again when it has moved."""

    presets = MappingProxyType(
        {
            "double": MappingProxyType({"double": True}),
            "soltoggio08": MappingProxyType({"trials": 100}),
            "risi10": MappingProxyType({"inputs": "range", "home": False}),
            "choice": MappingProxyType({"abstract": True, "home": False}),
            "choice_double": MappingProxyType({"abstract": True, "home": False, "double": True}),
        }
    )

    kind: Literal["TMaze-v0"] = "TMaze-v0"
    abstract: bool = False
    """one step a turn, left or right, without walls and without a way home"""

    @model_validator(mode="after")
    def _has_walls(self) -> TMaze:
        if self.abstract and self.inputs == "range":
            raise wrong("inputs is 'range', wanted 'features' with abstract: true: an abstract maze has no walls")
        return self

    @property
    def is_abstract(self) -> bool:
        """Its setting."""
        return self.abstract

    @property
    def odds(self) -> tuple[float, ...]:
        """Each alike."""
        return (0.5, 0.5) if self.abstract else (1 / 3, 1 / 3, 1 / 3)

    @property
    def spec(self) -> TaskSpec:
        """With the names of the actions."""
        names = ("left", "right") if self.abstract else ("left", "forward", "right")
        return super().spec._replace(action_names=names)

    def turn(self, action: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """As it is."""
        return action

    def target(self, life: Places, world: Walk) -> Int[Tensor, "*B"]:
        """The shortest way."""
        del life
        return self.way(world)


class TMazeSteering(_TMaze):
    """The T-maze for a network with one output: left below -.3, right above .3, else forward."""

    answered_by = "control"
    presets = MappingProxyType(
        {
            "double": MappingProxyType({"double": True}),
            "soltoggio08": MappingProxyType({"trials": 100}),
            "risi10": MappingProxyType({"inputs": "range", "home": False}),
        }
    )

    kind: Literal["TMazeSteering-v0"] = "TMazeSteering-v0"

    @property
    def odds(self) -> tuple[float, ...]:
        """Of an output from U(-1, 1)."""
        side = (1 - STEERING) / 2
        return side, STEERING, side

    def turn(self, action: Float[Tensor, "*B 1"]) -> Int[Tensor, "*B"]:
        """Where the output steers."""
        output = action[..., 0]
        return (output >= -STEERING).to(torch.int64) + (output > STEERING)

    def target(self, life: Places, world: Walk) -> Float[Tensor, "*B 1"]:
        """-1, 0 or 1."""
        del life
        return (self.way(world) - FORWARD).to(torch.float32)[..., None]
