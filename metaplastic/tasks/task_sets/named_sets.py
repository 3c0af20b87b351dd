"""Named sets of tasks, the presets of `TaskSet`: what studies of many tasks trained one network on, and two of ours.

    songset      the tasks of Song, Yang & Wang 2017: dots (with a delay, and in the agent's own time), context, two
                 senses, a wager, a choice between juices, a comparison of frequencies
    pargaset     the tasks that Parga, Serrano-Fernandez & Falco-Roget 2022 review, of those that are answered by
                 actions: dots, context, detection of a vibration, comparison of frequencies, match to sample, an
                 interval to measure and produce, a wager, a choice between juices
    yang19       the twenty tasks of Yang et al. 2019, as they were mixed: both context tasks five times as often
    driscoll15   fifteen of them: without decisions of which both stimuli are shown at once (Driscoll, Shenoy & Sussillo
                 2022; Duncker et al. 2020)
    modcog       the 82 tasks of Khona et al. 2023, mixed
    miconi23     the fourteen Boolean functions of Miconi 2023; split `train` has twelve, `test` dms and dnms
    bandits      arms: independent, dependent, reversing, volatile, baited; last action and reward are seen
    brainset     ours: a set to pre-train networks with, as Yang & Molano-Mazon 2021 call for, with splits by task;
                 what a test asks for has parts in training (two sources, a category, a delay, a changing world)

Trial tasks of a set have one dt. Left out, because their answers are outputs and the others' are actions: of pargaset
the generation of patterns; of brainset reaching, path integration, flip-flops and the recall of patterns, and
interval discrimination, which is not among our tasks. The rule units of the twenty, or of the 82, say which task it
is, so `yang19`, `driscoll15` and `modcog` add no code of the set's; in `miconi23` and `bandits` nothing says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from metaplastic.tasks.memory.boolean import HELD_OUT, TRUTH
from metaplastic.tasks.modcog.tasks import MODCOG
from metaplastic.tasks.yang19.rules import NAMES

DRISCOLL15 = tuple(name for name in NAMES if name not in ("dm1", "dm2", "ctxdm1", "ctxdm2", "multidm"))
"""the fifteen of the twenty"""
TWICE_THE_CONTEXT = tuple(5 if name in ("ctxdm1", "ctxdm2") else 1 for name in NAMES)


def a_task(kind: str, preset: str | None = None, **settings: Any) -> dict[str, Any]:
    """A task as a file would give it."""
    return {"kind": kind, **({"preset": preset} if preset else {}), **settings}


def yang19_tasks(names: tuple[str, ...], **settings: Any) -> tuple[dict[str, Any], ...]:
    """Some of the twenty."""
    return tuple(a_task(f"yang19.{name}-v0", **settings) for name in names)


def boolean_tasks(names: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Some of the Boolean functions."""
    return tuple(a_task(f"miconi23.{name}-v0") for name in names)


_SONG = (
    a_task("PerceptualDecisionMaking-v0", "song17"),
    a_task("PerceptualDecisionMaking-v0", "rt"),
    a_task("ContextDecisionMaking-v0", "song17"),
    a_task("MultiSensoryIntegration-v0", "song17"),
    a_task("PostDecisionWager-v0", "song17"),
    a_task("EconomicDecisionMaking-v0", "song17"),
    a_task("DelayComparison-v0", "song17"),
)
_PARGA = (
    a_task("PerceptualDecisionMaking-v0", "song17"),
    a_task("ContextDecisionMaking-v0", "song17"),
    a_task("VibrotactileDetection-v0", "short", dt=10.0),
    a_task("DelayComparison-v0", "song17"),
    a_task("DelayMatchSample-v0", dt=10.0),
    a_task("ReadySetGo-v0", "js15"),
    a_task("PostDecisionWager-v0", "song17"),
    a_task("EconomicDecisionMaking-v0", "song17"),
)
_BANDITS = (
    a_task("Bandit-v0", feedback=True),
    a_task("DependentArms-v0"),
    a_task("ReversalBandit-v0", feedback=True),
    a_task("VolatileBandit-v0", feedback=True),
    a_task("BaitedBandit-v0"),
)
_BRAIN = {
    "train": (
        a_task("PerceptualDecisionMaking-v0", "song17"),
        a_task("ContextDecisionMaking-v0", "song17"),
        a_task("DelayComparison-v0", "song17"),
        a_task("DelayMatchSample-v0", dt=10.0),
        a_task("ReadySetGo-v0", "js15"),
        *yang19_tasks(("go", "anti", "rtgo"), dt=10.0, rule=False),
        a_task("Bandit-v0"),
        a_task("DependentArms-v0", feedback=False),
    ),
    "val": (
        a_task("VibrotactileDetection-v0", "short", dt=10.0),
        *yang19_tasks(("dmc",), dt=10.0, rule=False),
        a_task("ReversalBandit-v0"),
    ),
    "test": (
        a_task("MultiSensoryIntegration-v0", "song17"),
        a_task("DelayMatchCategory-v0", dt=10.0),
        *yang19_tasks(("dlygo",), dt=10.0, rule=False),
        a_task("VolatileBandit-v0"),
    ),
}


def _split(parts: Mapping[str, tuple[dict[str, Any], ...]]) -> dict[str, Any]:
    """The tasks of all parts, and which numbers each part has."""
    tasks = tuple(task for part in parts.values() for task in part)
    starts = [sum(len(part) for part in list(parts.values())[:place]) for place in range(len(parts))]
    numbers = {
        name: tuple(range(start, start + len(part))) for start, (name, part) in zip(starts, parts.items(), strict=True)
    }
    return {"tasks": tasks, "splits": numbers}


_MICONI = {
    "train": boolean_tasks(tuple(name for name in TRUTH if name not in HELD_OUT)),
    "test": boolean_tasks(HELD_OUT),
}

NAMED_SETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "songset": {"tasks": _SONG, "schedule": "interleaved"},
        "pargaset": {"tasks": _PARGA, "schedule": "interleaved"},
        "yang19": {
            **{"tasks": yang19_tasks(NAMES), "frequencies": TWICE_THE_CONTEXT},
            **{"schedule": "interleaved", "rule": False},
        },
        "driscoll15": {"tasks": yang19_tasks(DRISCOLL15), "schedule": "interleaved", "rule": False},
        "modcog": {
            **{"tasks": tuple(a_task(kind, rule=True) for kind in MODCOG)},
            **{"schedule": "interleaved", "rule": False},
        },
        "miconi23": {**_split(_MICONI), "rule": False, "trials": 300, "test_trials": 100},
        "bandits": {"tasks": _BANDITS, "rule": False},
        "brainset": _split(_BRAIN),
    }
)
"""preset -> settings"""
