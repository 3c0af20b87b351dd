"""The twenty tasks of Yang et al. 2019 as a table: what is shown when, and what is to be done with it.

A row is one task. `timing` is the published timeline and `neurogym` that of Molano-Mazon et al. 2022, both in ms;
epochs that a row does not name have no steps. A stimulus whose epoch is missing is shown in the decision, which is then
a reaction. The order of the rows is the order of the rule units.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Family = Literal["go", "comparison", "match"]

EPOCHS = ("fixation", "stimulus", "delay", "second", "wait", "decision")
"""of every trial; stimulus: the first one, or both at once"""


class Row(NamedTuple):
    """One task."""

    name: str
    family: Family
    meaning: str
    timing: dict[str, Any]
    neurogym: dict[str, Any]
    aliases: tuple[str, ...] = ()
    """older names"""
    turned: bool = False
    """go: to the opposite side; match: go where the stimuli do not match"""
    shown: tuple[int, ...] = (1, 2)
    """comparison: the modalities that carry stimuli"""
    relevant: tuple[int, ...] = (1, 2)
    """comparison: the modalities that count"""
    by_category: bool = False
    """match: of categories, not of places"""
    stays: bool = False
    """the last stimulus stays on until the trial's end"""


def _one_of(*ms: float) -> dict[str, Any]:
    return {"choice": list(ms)}


def _between(low: float, high: float) -> dict[str, Any]:
    return {"uniform": [low, high]}


_SHORT, _DELAY = _one_of(200, 400, 600), _one_of(200, 400, 800, 1600)
_GO = {"fixation": _between(300, 700), "stimulus": _between(500, 1500), "decision": 500}
_REACT = {"fixation": _between(500, 2500), "decision": 500}
_WAIT = {"fixation": _one_of(300, 500, 700), "stimulus": _SHORT, "delay": _DELAY, "decision": 500}
_AT_ONCE = {"fixation": _between(100, 400), "stimulus": _one_of(400, 800, 1600), "decision": 500}
_IN_TURN = {
    **{"fixation": _SHORT, "stimulus": _SHORT, "delay": _DELAY, "second": _SHORT},
    **{"wait": _between(100, 300), "decision": 500},
}
_SAMPLE = {"fixation": _SHORT, "stimulus": _SHORT, "delay": _DELAY, "decision": 500}
_CATEGORY = {**_SAMPLE, "decision": _SHORT}

_GYM_GO = {"fixation": 500, "stimulus": 500, "decision": 500}
_GYM_REACT = {"fixation": 500, "decision": 500}
_GYM_WAIT = {**_GYM_GO, "delay": 500}
_GYM_AT_ONCE = {"fixation": _between(200, 500), "stimulus": 500, "decision": 200}
_GYM_IN_TURN = {**_GYM_AT_ONCE, "delay": 1000, "second": 500, "wait": 0}
_GYM_MATCH = {"fixation": 300, "stimulus": 500, "delay": 1000, "second": 500, "decision": 900}


def _at_once(name: str, meaning: str, alias: str, shown: tuple[int, ...], relevant: tuple[int, ...]) -> Row:
    aliases = (alias,) if alias else ()
    return Row(name, "comparison", meaning, _AT_ONCE, _GYM_AT_ONCE, aliases, shown=shown, relevant=relevant)


def _in_turn(name: str, meaning: str, alias: str, shown: tuple[int, ...], relevant: tuple[int, ...]) -> Row:
    return Row(name, "comparison", meaning, _IN_TURN, _GYM_IN_TURN, (alias,), shown=shown, relevant=relevant)


ROWS = (
    Row("go", "go", "Go to the stimulus at the go cue.", _GO, _GYM_GO, ("fdgo",), stays=True),
    Row("anti", "go", "Go opposite the stimulus at the go cue.", _GO, _GYM_GO, ("fdanti",), turned=True, stays=True),
    Row("rtgo", "go", "Go to the stimulus as soon as it comes.", _REACT, _GYM_REACT, ("reactgo",)),
    Row("rtanti", "go", "Go opposite the stimulus as soon as it comes.", _REACT, _GYM_REACT, ("reactanti",), True),
    Row("dlygo", "go", "Go to where the stimulus was.", _WAIT, _GYM_WAIT, ("delaygo",)),
    Row("dlyanti", "go", "Go opposite where the stimulus was.", _WAIT, _GYM_WAIT, ("delayanti",), True),
    _at_once("dm1", "Go to the stronger of two stimuli in modality 1.", "", (1,), (1,)),
    _at_once("dm2", "Go to the stronger of two stimuli in modality 2.", "", (2,), (2,)),
    _at_once("ctxdm1", "Go to the stronger in modality 1, whatever modality 2 shows.", "contextdm1", (1, 2), (1,)),
    _at_once("ctxdm2", "Go to the stronger in modality 2, whatever modality 1 shows.", "contextdm2", (1, 2), (2,)),
    _at_once("multidm", "Go to the stronger of two stimuli, both modalities together.", "", (1, 2), (1, 2)),
    _in_turn("dlydm1", "Go to the stronger of two successive stimuli in modality 1.", "delaydm1", (1,), (1,)),
    _in_turn("dlydm2", "Go to the stronger of two successive stimuli in modality 2.", "delaydm2", (2,), (2,)),
    _in_turn("ctxdlydm1", "Of two successive stimuli, the stronger in modality 1.", "contextdelaydm1", (1, 2), (1,)),
    _in_turn("ctxdlydm2", "Of two successive stimuli, the stronger in modality 2.", "contextdelaydm2", (1, 2), (2,)),
    _in_turn("multidlydm", "Of two successive stimuli, the stronger in both together.", "multidelaydm", (1, 2), (1, 2)),
    Row("dms", "match", "Go to the second stimulus if it is where the first was.", _SAMPLE, _GYM_MATCH, ("dmsgo",)),
    Row("dnms", "match", "Go to the second stimulus unless it matches.", _SAMPLE, _GYM_MATCH, ("dmsnogo",), True),
    Row(
        *("dmc", "match", "Go to the second stimulus if its category is the first's.", _CATEGORY, _GYM_MATCH),
        **{"aliases": ("dmcgo",), "by_category": True},
    ),
    Row(
        *("dnmc", "match", "Go to the second stimulus unless its category is the first's.", _CATEGORY, _GYM_MATCH),
        **{"aliases": ("dmcnogo",), "by_category": True, "turned": True},
    ),
)
"""the twenty tasks, in the order of their rule units"""

NAMES = tuple(row.name for row in ROWS)
