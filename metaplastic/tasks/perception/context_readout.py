"""Context-dependent integration, answered by the sign of one output at the trial's end.

    u_m = gain (N(0, 1) + b_m) at every step of the stimulus, for two modalities m, each with its bias b_m = +-bias  (1)

A one-hot context, on during the whole trial, says of which modality the sign is asked: z* = 1 or -1. How the output is
judged is in `sign_readout.py`; the last `judged` ms count. The same task answered by a choice is `context.py`.

`miconi17` (Miconi 2017 and its code): gain .5 and bias .5 at steps of 1 ms, a go input that is never used, the trial
types (attended modality and sign, positive ones first) one after the other. Its stimulus lasts one step more there, so
that the first judged step still has input. `kim19` (Kim, Li & Sejnowski 2019 and its code): gain 1 and bias .5 at steps
of 5 ms, 500 of them.

Noise is given in sqrt(ms) so that a ms of stimulus tells as much at any dt. The ceiling is that of an ideal observer,
who answers by the sign of what was seen in T ms and is right with Phi(gain bias sqrt(T) / sigma):                (2)
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.perception import ideal
from metaplastic.tasks.perception.sign_readout import SignReadout

LEARNED_ERROR = 0.5
"""mean error below which a trial counts as learned, as in the delayed non-match to sample of Miconi (2017)"""

Order = Literal["cyclic", "random"]


class Biases(NamedTuple):
    """Conditions of a trial."""

    context: Int[Tensor, "*B"]
    """the attended modality, 0 or 1"""
    signs: Float[Tensor, "*B 2"]
    """of the biases of both modalities"""


class ContextReadout(EpochTask, SignReadout):
    """Integrate one of two noisy inputs and answer with its sign."""

    references = (
        "Miconi 2017, Biologically plausible learning in recurrent neural networks, eLife 6:e20899",
        "Kim, Li & Sejnowski 2019, Simple framework for constructing functional spiking networks, PNAS 116:22811",
        "Mante et al. 2013, Context-dependent computation by recurrent dynamics in prefrontal cortex, Nature 503:78",
    )
    tags = ("perceptual", "decision", "context", "trials", "readout")
    epochs = ("onset", "stimulus", "response")
    responses = ("response",)
    noisy = ("modalities",)
    level = 1.0
    presets = MappingProxyType(
        {
            "miconi17": MappingProxyType({}),
            "kim19": MappingProxyType(
                {
                    "dt": 5.0,
                    "timing": {"onset": 250, "stimulus": 1000, "response": 1250},
                    "bias": 0.5,
                    "sigma": math.sqrt(5),
                    "go": False,
                    "order": "random",
                }
            ),
        }
    )

    kind: Literal["ContextReadout-v0"] = "ContextReadout-v0"
    dt: float = Field(default=1.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(onset=1, stimulus=499, response=200)
    """epoch -> ms, or how it is drawn; the response is judged"""
    bias: float = Field(default=0.25, gt=0)
    """mean of an input, gain times bias of (1)"""
    sigma: float = Field(default=0.5, ge=0)
    """noise of both inputs in sqrt(ms), in the stimulus"""
    go: bool = True
    """a first input that is never used"""
    order: Annotated[Order, BeforeValidator(one_of(Order))] = "cyclic"
    """trial types one after the other, or drawn, each alike"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """decision: the response is judged, and nothing else"""
    trials: int = Field(default=2000, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=100, ge=1)
    """trials of test after learning, plasticity off"""

    @model_validator(mode="after")
    def _is_judged(self) -> ContextReadout:
        if not self.timing["response"].ends(self.dt)[0]:
            raise wrong("timing.response may last 0 ms, wanted at least one step: it is what is judged")
        if self.weights != "decision":
            raise wrong(f"weights is {self.weights!r}, wanted 'decision': outputs are judged in the response alone")
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where there is input."""
        return ("stimulus",)

    @property
    def spec(self) -> TaskSpec:
        """Ceiling by (2): a wrong sign has the error 2, which scores 0."""
        widths = {**({"go": 1} if self.go else {}), "modalities": 2, "context": 2}
        # the mean of one input, as two channels that differ by sqrt(2) of it
        seen = ((self.bias * math.sqrt(2),), self.timing["stimulus"], self.dt, self.sigma)
        return self.describe(
            widths,
            1,
            response="readout",
            trial_types=4,
            chance=self.random_score,
            ceiling=ideal.two_channels(*seen),
            criterion=min(1 - LEARNED_ERROR / 2, ideal.two_channels(*seen)),
            oracle=1.0,
            reward_range=(-2.0, 0.0),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Biases]:
        """Type (0 first modality positive, 1 second positive, 2 and 3 negative) and the sign that is not asked for."""
        del life
        kind = trial % 4 if self.order == "cyclic" else rng.below(rng.word(key, 0), 4)
        context, asked = kind % 2, 1 - 2 * (kind // 2)
        other = 1 - 2 * rng.below(rng.word(key, 1), 2)
        signs = torch.stack((torch.where(context == 0, asked, other), torch.where(context == 0, other, asked)), -1)
        return kind, Biases(context, signs.to(torch.float32))

    def mean_input(self, conditions: Biases, when: When) -> Float[Tensor, "*T I"]:
        """(1) without its noise, and the context."""
        shown = self.within(when.epoch, ("stimulus",)).to(torch.float32) * self.bias
        first, second = conditions.signs.unbind(-1)
        colour = torch.zeros_like(shown) + conditions.context
        rows = [torch.zeros_like(shown)] if self.go else []
        return torch.stack((*rows, shown * first, shown * second, 1 - colour, colour), -1)

    def wanted(self, conditions: Biases, when: When) -> Float[Tensor, "*T 1"]:
        """z*, all the time."""
        sign = torch.where(conditions.context == 0, *conditions.signs.unbind(-1))
        return sign.expand(when.epoch.shape)[..., None]
