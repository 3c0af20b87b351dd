"""Every task by its name: one visible dict, `make`, and what carries a tag."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from metaplastic.core import ConfigError, lookup, near_miss
from metaplastic.tasks.bandits import Bandit
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.delay_match import DelayNonMatchSample
from metaplastic.tasks.images import DigitsBandit, MNISTBandit
from metaplastic.tasks.perceptual import PerceptualDecisionMaking
from metaplastic.tasks.two_step import TwoStep

TASKS: dict[str, type[TensorTask]] = {
    "Bandit-v0": Bandit,
    "DelayNonMatchSample-v0": DelayNonMatchSample,
    "DigitsBandit-v0": DigitsBandit,
    "MNISTBandit-v0": MNISTBandit,
    "PerceptualDecisionMaking-v0": PerceptualDecisionMaking,
    "TwoStep-v0": TwoStep,
}
"""id -> class; the v changes when a default changes what a task does"""

WRAPPERS: dict[str, type[TensorTask]] = {}
"""kind -> class of a task around a task (`task: {kind: …}`)"""

KINDS: dict[str, type[TensorTask]] = {**TASKS, **WRAPPERS}
"""every kind that stands where a task is wanted"""


def make(id: str, preset: str | None = None, **settings: Any) -> TensorTask:
    """The task `id` with a preset's settings and then these.

    Raises:
        ConfigError: one line a mistake, with what came, what was wanted and a near miss.
    """
    try:
        return lookup(KINDS, id, "task").model_validate({"preset": preset, **settings})
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
