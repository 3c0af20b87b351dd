"""Every study by name -> (module, class); found when it is needed, so that the list costs nothing."""

from __future__ import annotations

import importlib

from metaplastic.core import ConfigError, near_miss
from metaplastic.studies.study import Study

STUDIES: dict[str, tuple[str, str]] = {
    "bandits": ("dopamine.bandits", "BanditStudy"),
    "matching": ("dopamine.matching", "MatchingStudy"),
    "volatility": ("dopamine.volatility", "VolatilityStudy"),
    "inferred-value": ("dopamine.inferred_value", "InferredValueStudy"),
    "two-step": ("dopamine.two_step", "TwoStepStudy"),
    "distributional": ("dopamine.distributional", "DistributionalStudy"),
    "harlow": ("dopamine.harlow", "HarlowStudy"),
    "optogenetics": ("dopamine.optogenetics", "OptogeneticsStudy"),
    "credit-assignment": ("credit.credit_assignment", "CreditAssignment"),
    "q-agrel": ("credit.q_agrel", "QAgrelStudy"),
    "force": ("recurrent.force", "ForceStudy"),
    "eprop-evidence": ("recurrent.eprop_evidence", "EPropEvidence"),
    "augment": ("reward.augment", "AugmentStudy"),
    "miconi-dnms": ("reward.miconi_dnms", "MiconiStudy"),
    "song-rdm": ("song.dots", "SongDots"),
    "song-rdm-rt": ("song.dots", "SongReaction"),
    "song-context": ("song.context", "SongContext"),
    "song-multisensory": ("song.multisensory", "SongMultisensory"),
    "song-romo": ("song.comparison", "SongRomo"),
    "song-wager": ("song.wager", "SongWager"),
    "song-economic": ("song.economic", "SongEconomic"),
}
"""name -> (module below metaplastic.studies, class)"""


def study(name: str) -> Study:
    """The study of that name.

    Raises:
        ConfigError: with near misses, if there is none.
    """
    if name not in STUDIES:
        raise ConfigError(f"study is {name!r}, wanted one of {', '.join(STUDIES)}{near_miss(name, list(STUDIES))}")
    module, cls = STUDIES[name]
    return getattr(importlib.import_module(f"metaplastic.studies.{module}"), cls)()


def all_studies() -> list[Study]:
    """All of them, in order."""
    return [study(name) for name in STUDIES]
