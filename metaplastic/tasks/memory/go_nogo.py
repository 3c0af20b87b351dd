"""Go or not: act after one of two stimuli (GoNogo), or after pairs that belong together (DelayPairedAssociation).

GoNogo: a stimulus, a delay, then the fixation line goes off; going (1) is right after stimulus 2, waiting after 1.
DelayPairedAssociation: a first stimulus, 1 or 2, a delay, a second one, 3 or 4, and a delay; going is right after 1 and
3, and after 2 and 4, waiting after 1 and 4, and 2 and 3: neither stimulus alone says anything.

Waiting to the end of the decision where that is right is paid like going where that is. Whoever sees the stimuli is
always right; the random policy goes in half of the trials. Times and rewards are those of NeuroGym's tasks
(Molano-Mazon et al. 2022; checked with their code): going wrongly costs .5 and so does a miss in GoNogo, 1 and 0 in the
other. There waiting rightly earns nothing, answers between fixation and decision cost nothing.
"""

from __future__ import annotations

from abc import ABC
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.choices import ChoiceTask, Early, Paid, Rewards
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When

LEARNED = 0.9


class Pair(NamedTuple):
    """Conditions of a trial."""

    first: Int[Tensor, "*B"]
    """0 or 1"""
    second: Int[Tensor, "*B"]
    """0 or 1; like `first` where there is one stimulus"""


class GoTask(ChoiceTask, ABC):
    """A task in which to go or to wait is right."""

    references = (
        "Zhang et al. 2019, Active information maintenance in working memory by a sensory cortex, eLife 8:e43191",
    )
    responses = ("decision",)
    tags = ("memory", "decision", "trials")
    presets = MappingProxyType({"neurogym": MappingProxyType({})})
    shows: ClassVar[tuple[str, ...]]
    """the epochs with a stimulus, each with two lines"""

    early: Annotated[Early, BeforeValidator(one_of(Early))] = "penalise"
    """what an answer before its time does"""
    dt: float = Field(default=20.0, gt=0)
    """ms a step; must divide fixed durations"""

    @model_validator(mode="after")
    def _is_shown(self) -> GoTask:
        for name in (*self.shows, "decision"):
            if not self.timing[name].ends(self.dt)[0]:
                raise wrong(f"timing.{name} may last 0 ms, wanted at least one step")
        return self

    def answers(self) -> tuple[int, ...]:
        """Waiting can be right as well."""
        return 0, 1

    def mean_input(self, conditions: Pair, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision; one of two lines for each stimulus."""
        rows = [~self.within(when.epoch, ("decision",))]
        for name, which in zip(self.shows, conditions, strict=False):
            on = self.within(when.epoch, (name,))
            rows += [on & (which == number) for number in (0, 1)]
        return torch.stack(rows, -1).to(torch.float32)

    def described(self, kinds: int) -> TaskSpec:
        """Going and waiting are right alike."""
        widths = {"fixation": 1, **dict.fromkeys(self.shows, 2)}
        scores = {"chance": 0.5, "ceiling": 1.0, "criterion": LEARNED}
        return self.describe_choice(widths, ("wait", "go"), trial_types=kinds, **scores)


class GoNogo(GoTask):
    """Go after one of two stimuli."""

    epochs = ("fixation", "stimulus", "delay", "decision")
    shows = ("stimulus",)

    kind: Literal["GoNogo-v0"] = "GoNogo-v0"
    timing: dict[str, Duration] = times(fixation=0, stimulus=500, delay=500, decision=500)
    """epoch -> ms, or how it is drawn"""
    rewards: Paid = Rewards(error=-0.5, early=-0.1, omission=-0.5)
    """song17, neurogym, signed, shaped, or {correct, error, early, omission}"""

    @property
    def spec(self) -> TaskSpec:
        """Two trial types."""
        return self.described(2)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pair]:
        """The stimulus, each alike."""
        del life, trial
        which = rng.below(rng.word(key, 0), 2)
        return which, Pair(which, which.clone())

    def label(self, conditions: Pair) -> Int[Tensor, "*B"]:
        """Go after the second of the stimuli."""
        return conditions.first


class DelayPairedAssociation(GoTask):
    """Go if two stimuli belong together."""

    epochs = ("fixation", "first", "delay1", "second", "delay2", "decision")
    shows = ("first", "second")

    kind: Literal["DelayPairedAssociation-v0"] = "DelayPairedAssociation-v0"
    timing: dict[str, Duration] = times(fixation=0, first=1000, delay1=1000, second=1000, delay2=1000, decision=500)
    """epoch -> ms, or how it is drawn"""
    rewards: Paid = Rewards(error=-1.0, early=-0.1, omission=0.0)
    """song17, neurogym, signed, shaped, or {correct, error, early, omission}"""

    @property
    def spec(self) -> TaskSpec:
        """Four pairs."""
        return self.described(4)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pair]:
        """The pair, each alike."""
        del life, trial
        kind = rng.below(rng.word(key, 0), 4)
        return kind, Pair(kind // 2, kind % 2)

    def label(self, conditions: Pair) -> Int[Tensor, "*B"]:
        """Go after 1 and 3, 2 and 4."""
        return (conditions.first == conditions.second).to(torch.int64)
