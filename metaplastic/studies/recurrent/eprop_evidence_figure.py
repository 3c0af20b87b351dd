"""Figure of the e-prop study: the error over the training, and how feedback and read-out come to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaplastic.platform.figure_style import CEILING, CHAMPION, OFF, OTHERS, START, new_figure, styled
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.recurrent.eprop_evidence import Learned

COLOURS = (CEILING, CHAMPION, START, OTHERS[0])
"""of the rules, in their order"""


def draw(found: dict[str, Learned], learned: float) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "eprop-evidence",
            panels(found, learned),
            "Error over updates of BPTT and of e-prop with three kinds of feedback; cosine of feedback and read-out.",
            "A: error in trials that are not trained on, mean of the networks; a curve ends where all of a rule's "
            "networks have learned (dotted: the error that counts as learned). B: cosine between feedback and read-out "
            "weights; with random feedback the read-out comes to the feedback, with adaptive both come to each other.",
        )
    ]


@styled
def panels(found: dict[str, Learned], learned: float) -> Any:
    """Error and alignment."""
    figure = new_figure(2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    for (name, one), colour in zip(found.items(), COLOURS, strict=True):
        left.plot(one.updates, one.error.mean(1), color=colour, label=name, linewidth=1.4)
        if one.alignment is not None:
            right.plot(one.updates, one.alignment.mean(1), color=colour, label=name.partition(", ")[2], linewidth=1.4)
    left.axhline(learned, color=OFF, linewidth=0.8, linestyle=":")
    left.set(xlabel="updates", ylabel="error", ylim=(0, 0.65))
    left.set_title("A  evidence accumulation")
    left.legend(frameon=False, fontsize=8, loc="upper right")
    right.axhline(0, color=OFF, linewidth=0.8, linestyle=":")
    right.set(xlabel="updates", ylabel="cosine", ylim=(-0.5, 1.05))
    right.set_title("B  feedback and read-out")
    right.legend(frameon=False, fontsize=8)
    return figure
