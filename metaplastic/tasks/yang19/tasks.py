"""The twenty tasks of Yang et al. 2019, as one table: `yang19.go-v0` ... `yang19.dnmc-v0`.

A trial fixates, shows one or two bumps on two rings of units (two modalities), and wants an action: 0 to fixate, 1 + i
to go to unit i. `yang19_rules` is the table, `yang19_ring` what is seen and how answers are judged, `yang19_families`
what is drawn, `yang19_values` chance and ceilings, `yang19_readout` the same trials for networks with outputs.

Presets: `yang19`, the published values (32 units, dt 20), and `neurogym` (16 units, dt 100, its timing, rewards and
strengths, an answer right at the very unit; Molano-Mazon et al. 2022).
Departures. Published batches share times and modality, here every trial draws its own. In `neurogym` fixation stays on
in reaction tasks (there it goes off as the stimulus comes), noise is on all channels while stimuli are shown, the two
stimuli of a match may be in different modalities, sums of strengths that tie are drawn apart, and the place on the
border of two categories belongs to its half.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from metaplastic.settings import made_class
from metaplastic.tasks.choices import SCHEMES
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.yang19.families import Comparison, GoFamily, MatchFamily
from metaplastic.tasks.yang19.ring import Yang19
from metaplastic.tasks.yang19.rules import ROWS, Row

FAMILIES: dict[str, type[Yang19]] = {"go": GoFamily, "comparison": Comparison, "match": MatchFamily}
IN_TURN = (0.08, 0.16, 0.32)
"""coherences of comparisons in turn"""


def id_of(name: str) -> str:
    """'yang19.go-v0' of 'go'."""
    return f"yang19.{name}-v0"


def neurogym(row: Row) -> MappingProxyType[str, Any]:
    """The settings of NeuroGym's task; its strengths are 0.5 +- c / 2, or two of three."""
    own: dict[str, Any] = {"go": {"sigma": 0.0}, "match": {"sigma": 1.0}, "comparison": {"sigma": 1.0, "split": False}}
    in_turn = "second" in row.timing
    strengths = {"levels": (0.3, 0.6, 1.0)} if in_turn else {"coherences": (0.04, 0.08, 0.16, 0.32)}
    return MappingProxyType(
        {
            **{"dt": 100.0, "units": 16, "tolerance": 11.25, "rule": False, "places": "units", "stays": False},
            **{"noise_in": "stimuli", "timing": row.neurogym, "rewards": SCHEMES["neurogym"], "early": "penalise"},
            **own[row.family],
            **({"mean_strength": (0.5, 0.5), **strengths} if row.family == "comparison" else {}),
        }
    )


def _task(row: Row) -> type[Yang19]:
    """The class of one row."""
    timing = {name: Duration.read(value) for name, value in row.timing.items()}
    fields: dict[str, Any] = {
        "kind": (Literal[id_of(row.name)], Field(default=id_of(row.name))),
        "timing": (dict[str, Duration], Field(default=timing, description="epoch -> ms, or how it is drawn")),
        "stays": (bool, Field(default=row.stays, description="the last stimulus stays on until the trial's end")),
    }
    if row.family == "comparison" and "second" in row.timing:
        about = "c, half the difference of the two strengths, each alike"
        fields["coherences"] = (tuple[float, ...], Field(default=IN_TURN, min_length=1, description=about))
    name = f"Yang19_{row.name}"
    made = made_class(name, FAMILIES[row.family], __name__, row.meaning, fields)
    made.row = row
    made.presets = MappingProxyType({"yang19": MappingProxyType({}), "neurogym": neurogym(row)})
    return made


YANG19: dict[str, type[Yang19]] = {id_of(row.name): _task(row) for row in ROWS}
"""id -> class, in the order of the rule units"""

ALIASES: dict[str, str] = {id_of(alias): id_of(row.name) for row in ROWS for alias in row.aliases}
"""older names -> ids"""

globals().update({made.__name__: made for made in YANG19.values()})  # so that a task can be pickled by its class's name
