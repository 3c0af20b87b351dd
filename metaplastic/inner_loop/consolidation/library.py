"""Every consolidation by name, and the field of a rule that holds one."""

from __future__ import annotations

from metaplastic.core import Choice, lookup
from metaplastic.fields import Slot
from metaplastic.inner_loop.consolidation.base import Consolidation
from metaplastic.inner_loop.consolidation.beakers import BennaFusi
from metaplastic.inner_loop.consolidation.elastic import Elastic
from metaplastic.inner_loop.consolidation.synaptic import SynapticIntelligence

CONSOLIDATIONS: dict[str, type[Consolidation]] = {
    "ewc": Elastic,
    "si": SynapticIntelligence,
    "benna_fusi": BennaFusi,
}
"""kind -> consolidation"""

SLOT = Slot(lambda kind: lookup(CONSOLIDATIONS, kind, "consolidation"), lambda: list(CONSOLIDATIONS))
"""what the field `consolidation` of a rule may hold"""


def wants_likelihood(consolidation: Consolidation | Choice | None) -> bool:
    """Whether it, or one that may be chosen, must be told Fisher information."""
    options = consolidation.options if isinstance(consolidation, Choice) else (consolidation,)
    return any(option is not None and option.needs_likelihood for option in options)
