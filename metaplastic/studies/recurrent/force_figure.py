"""Figure of the FORCE study: what networks draw by themselves, and their errors period by period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaplastic.platform.figure_style import CHAMPION, INK, OFF, OTHERS, START, new_figure, styled, whole_numbers
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.recurrent.force import Drawn, Found
    from metaplastic.studies.recurrent.tamed import Tamed

SHOWN = 2
"""periods of free running that are drawn"""


def draw(found: Found) -> list[Drawing]:
    """The figure of the sines, and that of the push if it was made."""
    drawings = [
        Drawing(
            "force",
            panels(found),
            "Outputs that cover their target, and errors that stay low over ten periods of free running.",
            "Left: the first two periods of free running of the first network (colour) and the target (grey). Right: "
            "error of each network (nMSE) in every period of free running; the dotted line is the bound.",
        )
    ]
    if found.tamed:
        drawings.append(
            Drawing(
                "innate",
                pushed(found.tamed),
                "Before training a pushed network leaves its trajectory for good, after it comes back.",
                "Rates of three units: the innate trajectory (grey), and a trial with a second, weak pulse before "
                "and after training; below, the trained read-out and its target.",
            )
        )
    return drawings


@styled
def panels(found: Found) -> Any:
    """A row for each rule."""
    rows = [("FORCE", found.force, CHAMPION, 2e-2), ("full-FORCE", found.full_force, START, 2e-2)]
    rows.append(("FORCE, g 1.5", found.chaotic, OFF, 2e-2))
    if found.spiking:
        rows.append(("full-FORCE with spikes", found.spiking, OTHERS[0], 0.1))
    if found.oscillation:
        rows.append(("full-FORCE, its own oscillation", found.oscillation, OTHERS[1], 0.1))
    figure = new_figure(1.35 * len(rows))
    axes = figure.subplots(len(rows), 2, width_ratios=(1.6, 1), squeeze=False)
    for (name, drawn, colour, bound), (left, right) in zip(rows, axes, strict=True):
        _curve(left, name, drawn, colour)
        _errors(right, drawn, colour, bound)
    axes[-1, 0].set_xlabel("period")
    axes[-1, 1].set_xlabel("period of free running")
    return figure


def _curve(axes: Any, name: str, drawn: Drawn, colour: str) -> None:
    steps = len(drawn.target) // drawn.error.shape[1]
    shown = slice(SHOWN * steps)
    t = [step / steps for step in range(SHOWN * steps)]
    axes.plot(t, drawn.target[shown], color="#bbbbbb", linewidth=3)
    axes.plot(t, drawn.output[shown], color=colour, linewidth=1)
    axes.set(title=name, ylim=(-2.2, 2.2), ylabel="z")


def _errors(axes: Any, drawn: Drawn, colour: str, bound: float) -> None:
    periods = range(1, 1 + drawn.error.shape[1])
    axes.plot(periods, drawn.error.T.clamp(1e-7, 10), color=colour, linewidth=0.8)
    axes.axhline(bound, color=INK, linewidth=0.8, linestyle=":")
    axes.set(yscale="log", ylabel="nMSE", ylim=(1e-6, 20))
    whole_numbers(axes)


@styled
def pushed(tamed: Tamed) -> Any:
    """Three panels."""
    figure = new_figure(4.2)
    before, after, output = figure.subplots(3, 1, sharex=True)
    for axes, rates, name in ((before, tamed.untrained, "before training"), (after, tamed.trained, "after training")):
        shift = 2.2 * tamed.innate.new_tensor([0.0, 1.0, 2.0])
        axes.plot(tamed.innate + shift, color="#bbbbbb", linewidth=2.5)
        axes.plot(rates + shift, color=CHAMPION, linewidth=0.9)
        axes.set(title=name, yticks=[], ylabel="rates")
    output.plot(tamed.target, color="#bbbbbb", linewidth=2.5)
    output.plot(tamed.output, color=START, linewidth=0.9)
    output.set(xlabel="time (ms)", ylabel="z")
    return figure
