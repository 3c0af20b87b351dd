"""Which rules the study of credit assignment compares: every layered rule of the library, some in several settings.

A rule that this file does not name takes part with its defaults, under its own name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from metaplastic.inner_loop.critics import ActionValue, Critic, RunningAverage
from metaplastic.inner_loop.policies import MaxBoltzmann, Policy, Softmax
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.inner_loop.rules.library import RULES

ERROR, SURPRISE, REWARD, VALUE, REST = (
    "squared error",
    "cross-entropy",
    "expected reward",
    "error of the chosen value",
    "squared error at rest",
)
"""objectives, as tables name them (bench.py, eq. 2)"""


class Contestant(NamedTuple):
    """A rule with the settings it takes part with."""

    short: str
    """at its point in a figure"""
    name: str
    family: str
    rule: LayeredRule
    objective: str = ERROR
    """what it is to descend, after its authors: one of the five above"""
    policy: Policy = MaxBoltzmann()
    critic: Critic = RunningAverage()


EXACT, TRANSPORT, PERTURBED, REWARDED, SETTLED, OTHER = (
    "backpropagation",
    "feedback of its own",
    "perturbation",
    "reward",
    "relaxation",
    "others",
)
"""families, which a figure has colours for"""

Entry = tuple[str, str, str, dict[str, Any], str]
"""short, name, family, settings, objective"""

ENTRIES: dict[str, tuple[Entry, ...]] = {
    "batch_backprop": (("BP", "backpropagation", EXACT, {}, ERROR),),
    "feedback_alignment": (("FA", "feedback alignment", TRANSPORT, {}, ERROR),),
    "direct_feedback_alignment": (("DFA", "direct feedback alignment", TRANSPORT, {}, ERROR),),
    "sign_symmetry": (("SS", "sign symmetry", TRANSPORT, {}, ERROR),),
    "kolen_pollack": (("KP", "Kolen-Pollack", TRANSPORT, {"decay": 0.001}, ERROR),),
    "weight_mirror": (("WM", "weight mirror", TRANSPORT, {"normalise": "birth"}, ERROR),),
    "burstprop": (
        ("BU", "bursts, random", TRANSPORT, {"momentum": 0.0, "hidden_ratio": 4.0}, ERROR),
        ("BS", "bursts, symmetric", TRANSPORT, {"momentum": 0.0, "hidden_ratio": 4.0, "feedback": "symmetric"}, ERROR),
    ),
    "segregated_dendrites": (("SD", "segregated dendrites", TRANSPORT, {"hidden_ratio": 4.0}, ERROR),),
    "plasticity_pool": (("PP", "plasticity pool, at its start", TRANSPORT, {}, ERROR),),
    "batch_node_perturbation": (("NP", "node perturbation", PERTURBED, {"cost": "squared_error"}, ERROR),),
    "weight_perturbation": (("WP", "weight perturbation", PERTURBED, {"cost": "squared_error"}, ERROR),),
    "reinforce": (("RE", "REINFORCE", REWARDED, {}, REWARD),),
    "agrel": (("AG", "AGREL", REWARDED, {}, SURPRISE),),
    "batch_q_agrel": (
        ("QS", "Q-AGREL, symmetric", REWARDED, {"feedback": "symmetric"}, VALUE),
        ("QL", "Q-AGREL, learned", REWARDED, {"feedback": "learned"}, VALUE),
        ("QR", "Q-AGREL, random", REWARDED, {"feedback": "random"}, VALUE),
    ),
    "predictive_coding": (
        ("PC", "predictive coding, V = 1", SETTLED, {"steps": 30, "rate": 0.2}, ERROR),
        ("PT", "predictive coding, V_K = 100", SETTLED, {"steps": 30, "rate": 0.2, "output_variance": 100.0}, ERROR),
        ("PF", "predictive coding, fixed", SETTLED, {"variant": "fixed_prediction", "rate": 1.0, "steps": 4}, ERROR),
        ("PZ", "predictive coding, Z-IL", SETTLED, {"variant": "z_il"}, ERROR),
    ),
    "equilibrium_propagation": (
        ("EP", "equilibrium propagation", SETTLED, {"eta_ratio": 1.0, "nudged_steps": 6}, REST),
        (
            "EW",
            "equilibrium propagation, weak",
            SETTLED,
            {"eta_ratio": 1.0, "states": "network", "nudge": "symmetric", "beta": 0.1, "feedback": 0.05}
            | {"rate": 1.0, "free_steps": 8, "nudged_steps": 8},
            ERROR,
        ),
    ),
    "contrastive_hebbian": (("CH", "contrastive Hebb", SETTLED, {"feedback": 0.05, "rate": 1.0, "steps": 8}, ERROR),),
    "dendritic_microcircuit": (
        ("MR", "microcircuit, random", SETTLED, {}, ERROR),
        ("MS", "microcircuit, symmetric", SETTLED, {"feedback": "symmetric"}, ERROR),
    ),
}
"""kind of the rule -> what takes part"""


def contestants() -> list[Contestant]:
    """All of them, in the order of the families."""
    found = []
    for kind, cls in RULES.items():
        if issubclass(cls, LayeredRule):
            default: Entry = (kind[:4], kind.replace("_", " "), OTHER, {}, ERROR)
            found += [_contestant(cls, entry) for entry in ENTRIES.get(kind, (default,))]
    order = [EXACT, TRANSPORT, PERTURBED, REWARDED, SETTLED, OTHER]
    return sorted(found, key=lambda one: order.index(one.family))


def _contestant(cls: type[LayeredRule], entry: Entry) -> Contestant:
    short, name, family, settings, objective = entry
    rule = cls.model_validate(settings)
    policy = Softmax() if objective in (SURPRISE, REWARD) else MaxBoltzmann()
    critic = ActionValue() if objective == VALUE else RunningAverage()
    return Contestant(short, name, family, rule, objective, policy, critic)
