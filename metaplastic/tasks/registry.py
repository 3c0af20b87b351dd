"""Every task by its name: one visible dict, `make`, and what carries a tag."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from metaplastic.core import ConfigError, lookup, near_miss
from metaplastic.tasks.adapters.gymnasium_task import GymnasiumTask
from metaplastic.tasks.adapters.neurogym_task import NeuroGymTask
from metaplastic.tasks.association.few_shot import FewShot
from metaplastic.tasks.association.few_shot_regression import FewShotRegression
from metaplastic.tasks.association.grid_category import GridCategory
from metaplastic.tasks.association.paired_associates import PairedAssociates
from metaplastic.tasks.association.pattern_memory import PatternMemory
from metaplastic.tasks.association.target_discovery import TargetDiscovery
from metaplastic.tasks.bandits.baited import BaitedBandit
from metaplastic.tasks.bandits.dependent import DependentArms
from metaplastic.tasks.bandits.harlow import Harlow
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.inferred_value import InferredValue
from metaplastic.tasks.bandits.object_choice import ContextualBandit, HarlowChoice
from metaplastic.tasks.bandits.reversal import ReversalBandit
from metaplastic.tasks.bandits.risky import RiskyChoice
from metaplastic.tasks.bandits.two_step import TwoStep
from metaplastic.tasks.bandits.volatile import VolatileBandit
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.control.acrobot import Acrobot
from metaplastic.tasks.control.cart_pole import CartPole
from metaplastic.tasks.control.mountain_car import MountainCar, MountainCarContinuous
from metaplastic.tasks.control.pendulum import Pendulum
from metaplastic.tasks.control.swing_up import CartPoleSwingUp
from metaplastic.tasks.images.image_bandit import DigitsBandit, GlyphsBandit, MNISTBandit
from metaplastic.tasks.images.sequential_mnist import SequentialMNIST
from metaplastic.tasks.memory.boolean import MICONI23
from metaplastic.tasks.memory.delay_comparison import DelayComparison
from metaplastic.tasks.memory.delay_match import DelayNonMatchSample
from metaplastic.tasks.memory.delayed_xor import DelayedXOR
from metaplastic.tasks.memory.dual_match import DualDelayMatchSample
from metaplastic.tasks.memory.evidence_accumulation import EvidenceAccumulation, EvidenceAccumulationChoice
from metaplastic.tasks.memory.flip_flop import FlipFlop
from metaplastic.tasks.memory.go_nogo import DelayPairedAssociation, GoNogo
from metaplastic.tasks.memory.match_category import DelayMatchCategory, MatchToCategory
from metaplastic.tasks.memory.match_sample import DelayMatchSample, DelayMatchSampleDistractor1D
from metaplastic.tasks.memory.saccade import SaccadeAntisaccade
from metaplastic.tasks.memory.store_recall import StoreRecall
from metaplastic.tasks.modcog.tasks import MODCOG
from metaplastic.tasks.motor.arm_reach import ArmReach
from metaplastic.tasks.motor.delay_response import ReachingDelayResponse
from metaplastic.tasks.motor.reach import Reach
from metaplastic.tasks.motor.ring_reach import Reaching1D, Reaching1DWithSelfDistraction
from metaplastic.tasks.navigation.forage import Forage
from metaplastic.tasks.navigation.forage_grid import ForageGrid
from metaplastic.tasks.navigation.grid_nav import GridNav
from metaplastic.tasks.navigation.homing import PathHoming
from metaplastic.tasks.navigation.meta_maze import MetaMaze
from metaplastic.tasks.navigation.path_integration import PathIntegration
from metaplastic.tasks.navigation.t_maze import TMaze, TMazeSteering
from metaplastic.tasks.navigation.water_maze import WaterMaze, WaterMazeSteering
from metaplastic.tasks.navigation.water_maze_grid import WaterMazeGrid
from metaplastic.tasks.patterns.pattern_generation import PatternGeneration
from metaplastic.tasks.patterns.sequence_execution import SequenceExecution
from metaplastic.tasks.perception.context import ContextDecisionMaking
from metaplastic.tasks.perception.context_readout import ContextReadout
from metaplastic.tasks.perception.economic import EconomicDecisionMaking
from metaplastic.tasks.perception.multisensory import MultiSensoryIntegration
from metaplastic.tasks.perception.perceptual import PerceptualDecisionMaking
from metaplastic.tasks.perception.pulses import PulseDecisionMaking
from metaplastic.tasks.perception.vibrotactile import VibrotactileDetection
from metaplastic.tasks.perception.wager import PostDecisionWager
from metaplastic.tasks.sequences.adding import Adding
from metaplastic.tasks.sequences.copy_memory import CopyMemory
from metaplastic.tasks.sequences.n_back import NBack
from metaplastic.tasks.sequences.parity import Parity
from metaplastic.tasks.task_sets.task_set import TaskSet
from metaplastic.tasks.timing.interval_discrimination import IntervalDiscrimination
from metaplastic.tasks.timing.motor_timing import MotorTiming
from metaplastic.tasks.timing.ready_set_go import ReadySetGo, ReadySetGoRamp
from metaplastic.tasks.timing.ready_set_go_readout import ReadySetGoReadout
from metaplastic.tasks.timing.timed_pulse import TimedPulse
from metaplastic.tasks.wrappers.action import ActionNoise, RewardDelay, Sticky
from metaplastic.tasks.wrappers.autoreset import AutoReset
from metaplastic.tasks.wrappers.feedback import WithFeedback, WithRewardPulse
from metaplastic.tasks.wrappers.sight import ObsDelay, ObsNoise, PermuteChannels
from metaplastic.tasks.wrappers.spikes import SpikeEncode
from metaplastic.tasks.wrappers.time import InterTrial, RepeatFrame
from metaplastic.tasks.yang19.readout import Yang19Readout
from metaplastic.tasks.yang19.tasks import ALIASES as YANG19_ALIASES
from metaplastic.tasks.yang19.tasks import YANG19

TASKS: dict[str, type[TensorTask]] = {
    "Acrobot-v1": Acrobot,
    "Adding-v0": Adding,
    "ArmReach-v0": ArmReach,
    "BaitedBandit-v0": BaitedBandit,
    "Bandit-v0": Bandit,
    "CartPole-v1": CartPole,
    "CartPoleSwingUp-v0": CartPoleSwingUp,
    "ContextDecisionMaking-v0": ContextDecisionMaking,
    "ContextReadout-v0": ContextReadout,
    "ContextualBandit-v0": ContextualBandit,
    "CopyMemory-v0": CopyMemory,
    "DelayComparison-v0": DelayComparison,
    "DelayMatchCategory-v0": DelayMatchCategory,
    "DelayMatchSample-v0": DelayMatchSample,
    "DelayMatchSampleDistractor1D-v0": DelayMatchSampleDistractor1D,
    "DelayNonMatchSample-v0": DelayNonMatchSample,
    "DelayPairedAssociation-v0": DelayPairedAssociation,
    "DelayedXOR-v0": DelayedXOR,
    "DependentArms-v0": DependentArms,
    "DigitsBandit-v0": DigitsBandit,
    "DualDelayMatchSample-v0": DualDelayMatchSample,
    "EconomicDecisionMaking-v0": EconomicDecisionMaking,
    "EvidenceAccumulation-v0": EvidenceAccumulation,
    "EvidenceAccumulationChoice-v0": EvidenceAccumulationChoice,
    "FewShot-v0": FewShot,
    "FewShotRegression-v0": FewShotRegression,
    "FlipFlop-v0": FlipFlop,
    "Forage-v0": Forage,
    "ForageGrid-v0": ForageGrid,
    "GlyphsBandit-v0": GlyphsBandit,
    "GoNogo-v0": GoNogo,
    "GridCategory-v0": GridCategory,
    "GridNav-v0": GridNav,
    "Harlow-v0": Harlow,
    "HarlowChoice-v0": HarlowChoice,
    "InferredValue-v0": InferredValue,
    "IntervalDiscrimination-v0": IntervalDiscrimination,
    "MNISTBandit-v0": MNISTBandit,
    "MatchToCategory-v0": MatchToCategory,
    "MetaMaze-v0": MetaMaze,
    "MotorTiming-v0": MotorTiming,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "MultiSensoryIntegration-v0": MultiSensoryIntegration,
    "NBack-v0": NBack,
    "PairedAssociates-v0": PairedAssociates,
    "Parity-v0": Parity,
    "PathHoming-v0": PathHoming,
    "PathIntegration-v0": PathIntegration,
    "PatternGeneration-v0": PatternGeneration,
    "PatternMemory-v0": PatternMemory,
    "Pendulum-v1": Pendulum,
    "PerceptualDecisionMaking-v0": PerceptualDecisionMaking,
    "PostDecisionWager-v0": PostDecisionWager,
    "PulseDecisionMaking-v0": PulseDecisionMaking,
    "Reach-v0": Reach,
    "Reaching1D-v0": Reaching1D,
    "Reaching1DWithSelfDistraction-v0": Reaching1DWithSelfDistraction,
    "ReachingDelayResponse-v0": ReachingDelayResponse,
    "ReadySetGo-v0": ReadySetGo,
    "ReadySetGoRamp-v0": ReadySetGoRamp,
    "ReadySetGoReadout-v0": ReadySetGoReadout,
    "ReversalBandit-v0": ReversalBandit,
    "RiskyChoice-v0": RiskyChoice,
    "SaccadeAntisaccade-v0": SaccadeAntisaccade,
    "SequenceExecution-v0": SequenceExecution,
    "SequentialMNIST-v0": SequentialMNIST,
    "StoreRecall-v0": StoreRecall,
    "TMaze-v0": TMaze,
    "TMazeSteering-v0": TMazeSteering,
    "TargetDiscovery-v0": TargetDiscovery,
    "TimedPulse-v0": TimedPulse,
    "TwoStep-v0": TwoStep,
    "VibrotactileDetection-v0": VibrotactileDetection,
    "VolatileBandit-v0": VolatileBandit,
    "WaterMaze-v0": WaterMaze,
    "WaterMazeGrid-v0": WaterMazeGrid,
    "WaterMazeSteering-v0": WaterMazeSteering,
    "yang19.readout-v0": Yang19Readout,
    **MICONI23,
    **MODCOG,
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

OUTSIDE: dict[str, type[TensorTask]] = {
    "GymnasiumTask": GymnasiumTask,
    "NeuroGymTask": NeuroGymTask,
}
"""kind -> class of tasks that environments of other libraries stand behind (`pure` is False)"""

SETS: dict[str, type[TensorTask]] = {"TaskSet": TaskSet}
"""kind -> class of a task made of several (`tasks: [{kind: …}, …]`)"""

KINDS: dict[str, type[TensorTask]] = {**TASKS, **WRAPPERS, **SETS, **OUTSIDE}
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
