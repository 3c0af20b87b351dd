"""Every task by its name: one visible dict, `make`, and what carries a tag."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from metaplastic.core import ConfigError, lookup, near_miss
from metaplastic.tasks.acrobot import Acrobot
from metaplastic.tasks.baited_bandit import BaitedBandit
from metaplastic.tasks.bandits import Bandit
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.boolean import MICONI23
from metaplastic.tasks.cart_pole import CartPole
from metaplastic.tasks.context import ContextDecisionMaking
from metaplastic.tasks.context_readout import ContextReadout
from metaplastic.tasks.delay_comparison import DelayComparison
from metaplastic.tasks.delay_match import DelayNonMatchSample
from metaplastic.tasks.delayed_xor import DelayedXOR
from metaplastic.tasks.dependent_arms import DependentArms
from metaplastic.tasks.economic import EconomicDecisionMaking
from metaplastic.tasks.forage import Forage
from metaplastic.tasks.harlow import Harlow
from metaplastic.tasks.homing import PathHoming
from metaplastic.tasks.images import DigitsBandit, MNISTBandit
from metaplastic.tasks.match_category import DelayMatchCategory, MatchToCategory
from metaplastic.tasks.match_sample import DelayMatchSample, DelayMatchSampleDistractor1D
from metaplastic.tasks.mountain_car import MountainCar, MountainCarContinuous
from metaplastic.tasks.multisensory import MultiSensoryIntegration
from metaplastic.tasks.object_choice import ContextualBandit, HarlowChoice
from metaplastic.tasks.path_integration import PathIntegration
from metaplastic.tasks.pattern_memory import PatternMemory
from metaplastic.tasks.pendulum import Pendulum
from metaplastic.tasks.perceptual import PerceptualDecisionMaking
from metaplastic.tasks.pulses import PulseDecisionMaking
from metaplastic.tasks.ready_set_go import ReadySetGo, ReadySetGoRamp
from metaplastic.tasks.reversal_bandit import ReversalBandit
from metaplastic.tasks.swing_up import CartPoleSwingUp
from metaplastic.tasks.t_maze import TMaze, TMazeSteering
from metaplastic.tasks.target_discovery import TargetDiscovery
from metaplastic.tasks.two_step import TwoStep
from metaplastic.tasks.vibrotactile import VibrotactileDetection
from metaplastic.tasks.volatile_bandit import VolatileBandit
from metaplastic.tasks.wager import PostDecisionWager
from metaplastic.tasks.wrap_action import ActionNoise, RewardDelay, Sticky
from metaplastic.tasks.wrap_autoreset import AutoReset
from metaplastic.tasks.wrap_feedback import WithFeedback, WithRewardPulse
from metaplastic.tasks.wrap_sight import ObsDelay, ObsNoise, PermuteChannels
from metaplastic.tasks.wrap_spikes import SpikeEncode
from metaplastic.tasks.wrap_time import InterTrial, RepeatFrame
from metaplastic.tasks.yang19 import ALIASES as YANG19_ALIASES
from metaplastic.tasks.yang19 import YANG19
from metaplastic.tasks.yang19_readout import Yang19Readout

TASKS: dict[str, type[TensorTask]] = {
    "Acrobot-v1": Acrobot,
    "Bandit-v0": Bandit,
    "CartPole-v1": CartPole,
    "CartPoleSwingUp-v0": CartPoleSwingUp,
    "ContextDecisionMaking-v0": ContextDecisionMaking,
    "ContextReadout-v0": ContextReadout,
    "ContextualBandit-v0": ContextualBandit,
    "DelayComparison-v0": DelayComparison,
    "DelayMatchCategory-v0": DelayMatchCategory,
    "DelayMatchSample-v0": DelayMatchSample,
    "DelayMatchSampleDistractor1D-v0": DelayMatchSampleDistractor1D,
    "DelayNonMatchSample-v0": DelayNonMatchSample,
    "DelayedXOR-v0": DelayedXOR,
    "DependentArms-v0": DependentArms,
    "DigitsBandit-v0": DigitsBandit,
    "EconomicDecisionMaking-v0": EconomicDecisionMaking,
    "Harlow-v0": Harlow,
    "HarlowChoice-v0": HarlowChoice,
    "MNISTBandit-v0": MNISTBandit,
    "MatchToCategory-v0": MatchToCategory,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "MultiSensoryIntegration-v0": MultiSensoryIntegration,
    "PathHoming-v0": PathHoming,
    "PathIntegration-v0": PathIntegration,
    "PatternMemory-v0": PatternMemory,
    "Pendulum-v1": Pendulum,
    "PerceptualDecisionMaking-v0": PerceptualDecisionMaking,
    "PostDecisionWager-v0": PostDecisionWager,
    "PulseDecisionMaking-v0": PulseDecisionMaking,
    "ReadySetGo-v0": ReadySetGo,
    "ReadySetGoRamp-v0": ReadySetGoRamp,
    "ReversalBandit-v0": ReversalBandit,
    "TMaze-v0": TMaze,
    "TMazeSteering-v0": TMazeSteering,
    "BaitedBandit-v0": BaitedBandit,
    "TargetDiscovery-v0": TargetDiscovery,
    "Forage-v0": Forage,
    "TwoStep-v0": TwoStep,
    "VibrotactileDetection-v0": VibrotactileDetection,
    "VolatileBandit-v0": VolatileBandit,
    "yang19.readout-v0": Yang19Readout,
    **MICONI23,
    **YANG19,
}
"""id -> class; the v changes when a default changes what a task does"""

ALIASES: dict[str, str] = {**YANG19_ALIASES}
"""other names that `make` knows -> ids"""

WRAPPERS: dict[str, type[TensorTask]] = {
    "ActionNoise": ActionNoise,
    "AutoReset": AutoReset,
    "InterTrial": InterTrial,
    "ObsDelay": ObsDelay,
    "ObsNoise": ObsNoise,
    "PermuteChannels": PermuteChannels,
    "RepeatFrame": RepeatFrame,
    "RewardDelay": RewardDelay,
    "SpikeEncode": SpikeEncode,
    "Sticky": Sticky,
    "WithFeedback": WithFeedback,
    "WithRewardPulse": WithRewardPulse,
}
"""kind -> class of a task around a task (`task: {kind: …}`)"""

KINDS: dict[str, type[TensorTask]] = {**TASKS, **WRAPPERS}
"""every kind that stands where a task is wanted"""


def make(id: str, preset: str | None = None, **settings: Any) -> TensorTask:
    """The task `id` with a preset's settings and then these.

    Raises:
        ConfigError: one line a mistake, with what came, what was wanted and a near miss.
    """
    try:
        return lookup(KINDS, ALIASES.get(id, id), "task").model_validate({"preset": preset, **settings})
    except ValidationError as wrongs:
        raise ConfigError("\n".join(_line(id, error) for error in wrongs.errors())) from None
    except PydanticCustomError as unknown:
        raise ConfigError(str(unknown)) from None


def list_tasks(tag: str | None = None) -> list[str]:
    """The ids of all tasks, or of those that carry a tag.

    Raises:
        ConfigError: if no task carries it.
    """
    every = sorted({word for cls in TASKS.values() for word in cls.tags})
    if tag is not None and tag not in every:
        raise ConfigError(f"tag is {tag!r}, which no task carries{near_miss(tag, every)}; there are {', '.join(every)}")
    return [id for id, cls in TASKS.items() if tag is None or tag in cls.tags]


def _line(id: str, error: Any) -> str:
    """'Bandit-v0: arms: is 1, wanted …'."""
    below = error.get("ctx", {}).get("below")
    place = ".".join(str(part) for part in (*error["loc"], below) if part is not None)
    return ": ".join(part for part in (id, place, error["msg"]) if part)
