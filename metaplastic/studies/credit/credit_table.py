"""The table of the study of credit assignment: what must hold, and where every rule lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metaplastic.studies.analysis.events import nan_mean
from metaplastic.studies.credit.contestants import ERROR
from metaplastic.studies.dopamine.claims import row
from metaplastic.studies.study import Claim, Source

if TYPE_CHECKING:
    from metaplastic.studies.credit.credit_assignment import Course

BIRTH, MIDWAY, AFTER = range(3)

Bound = tuple[str, int, str, str, Source, str, Callable[[float], bool]]
"""short name, moment, what is measured, its words, source of the bound, bound in words, bound"""


def near(value: float, width: float) -> Callable[[float], bool]:
    """Within `width` of `value`."""
    return lambda x: abs(x - value) <= width


BOUNDS: tuple[Bound, ...] = (
    ("BP", BIRTH, "cosine", "cosine to its gradient at birth", "derived", "1 ± .03", near(1, 0.03)),
    ("NP", BIRTH, "cosine", "cosine to its gradient at birth", "derived", "1 ± .1", near(1, 0.1)),
    ("WP", BIRTH, "cosine", "cosine to its gradient at birth", "derived", "1 ± .15", near(1, 0.15)),
    ("QS", BIRTH, "cosine", "cosine to its own objective's gradient at birth", "derived", "1 ± .05", near(1, 0.05)),
    ("AG", BIRTH, "cosine", "cosine to the cross-entropy's gradient at birth", "derived", "1 ± .15", near(1, 0.15)),
    ("RE", BIRTH, "cosine", "cosine to the expected reward's gradient at birth", "derived", "1 ± .15", near(1, 0.15)),
    ("QS", BIRTH, "common_cosine", "cosine to the squared error's gradient at birth (prototype .45)", "our bound",
     "≤ .9", lambda x: x <= 0.9),
    ("FA", BIRTH, "cosine", "cosine at birth (prototype .18)", "our bound", "-.1 to .5", lambda x: -0.1 <= x <= 0.5),
    ("FA", AFTER, "cosine", "cosine after learning (prototype .88)", "our bound", "≥ .5", lambda x: x >= 0.5),
    ("DFA", AFTER, "cosine", "cosine after learning", "our bound", "≥ .5", lambda x: x >= 0.5),
    ("PC", BIRTH, "cosine", "cosine at birth: unit variances are not the gradient", "our bound", "≤ .97",
     lambda x: x <= 0.97),
    ("PT", BIRTH, "cosine", "cosine at birth: an output of little weight nearly is", "our bound", "≥ .98",
     lambda x: x >= 0.98),
    ("EW", BIRTH, "cosine", "cosine at birth", "our bound", "≥ .97", lambda x: x >= 0.97),
    ("CH", BIRTH, "cosine", "cosine at birth", "our bound", "≥ .97", lambda x: x >= 0.97),
)  # fmt: skip
"""numbers that must hold in three of four seeds"""


def claims(courses: Sequence[Course]) -> list[Claim]:
    """What must hold, of the rules that took part; then every rule."""
    by = {course.contestant.short: course for course in courses}
    table = [
        row(f"{by[short].contestant.name}: {words}", text, source, by[short].of(name, moment).tolist(), bound)
        for short, moment, name, words, source, text, bound in BOUNDS
        if short in by
    ]
    return [*table, *_orders(by), _expansion(courses), *_places(courses)]


def _orders(by: dict[str, Course]) -> list[Claim]:
    """What the paper calls known: which rules scatter, and which are biased; and rules that are the same."""
    found = []
    if {"BP", "NP", "WP"} <= by.keys():
        scatter = [by[short].of("noise", BIRTH) for short in ("BP", "NP", "WP")]
        least = np.minimum(scatter[1] / scatter[0], scatter[2] / scatter[1])
        what = (
            "scatter v / |m|^2: weight over node perturbation, node perturbation over backpropagation, the lesser ratio"
        )
        found.append(row(what, "> 1", "published", least.tolist(), lambda x: x > 1))
    if {"BP", "NP", "FA"} <= by.keys():
        cosine = [by[short].of("cosine", BIRTH) for short in ("BP", "NP", "FA")]
        margin = np.minimum(cosine[0], cosine[1]) - cosine[2]
        what = "cosine of backpropagation and of node perturbation above feedback alignment's at birth by"
        found.append(row(what, "> 0", "published", margin.tolist(), lambda x: x > 0))
        rise = (by["FA"].of("cosine", AFTER) - cosine[2]).tolist()
        found.append(row("feedback alignment: cosine rises by", "≥ .2", "our bound", rise, lambda x: x >= 0.2))
    for short in {"PF", "PZ"} & by.keys():
        gap = np.abs(by[short].of("cosine", BIRTH) - by["BP"].of("cosine", BIRTH)).tolist()
        what = f"{by[short].contestant.name}: cosine from backpropagation's, same draws"
        found.append(row(what, "≤ .0001", "derived", gap, lambda x: x <= 1e-4))
    return found


def _expansion(courses: Sequence[Course]) -> Claim:
    """Whether two terms account for what steps do."""
    names = ("single", "mean", "gradient")
    left = [
        np.abs(c.of(f"{n}_realised", m) - c.of(f"{n}_predicted", m) - c.of(f"{n}_second_order", m))
        for c in courses
        for n in names
        for m in (BIRTH, MIDWAY, AFTER)
    ]
    what = (
        "what first and second order leave over of a step's gain (gradient's promise: 1), mean over rules and moments"
    )
    return row(what, "≤ .1", "our bound", nan_mean(np.stack(left)).tolist(), lambda x: x <= 0.1)


def _places(courses: Sequence[Course]) -> list[Claim]:
    """A row for every rule; birth, midway, after."""
    found = []
    for course in courses:
        one = course.contestant
        text = f"cosine {_three(course, 'common_cosine')}; scatter {_three(course, 'noise')}"
        text += f"; samples for a cosine of 1/2: {_three(course, 'common_samples')}"
        text += f"; right {_three(course, 'accuracy')}; path efficiency {course.efficiency.mean():.2f}"
        found.append(Claim(f"{one.short}  {one.name} ({ERROR})", "–", "derived", text, None))
        if one.objective != ERROR:
            own = f"cosine {_three(course, 'cosine')}; samples for a cosine of 1/2: {_three(course, 'samples')}"
            found.append(Claim(f"{one.short}  {one.name} ({one.objective})", "–", "derived", own, None))
        gains = (
            f"{words}: predicted {_three(course, f'{name}_predicted')}, realised {_three(course, f'{name}_realised')}"
            for name, words in (("single", "one change"), ("mean", "mean of 100"))
        )
        what = f"{one.short}  {one.name} ({ERROR}): what a step of fixed length gains, the gradient's promise being 1"
        found.append(Claim(what, "–", "derived", "; ".join(gains), None))
        by_layer = "; ".join(
            " ".join(f"{value:.2f}" for value in nan_mean(course.of("layer_cosines", moment)))
            for moment in (BIRTH, AFTER)
        )
        what = f"{one.short}  {one.name} ({one.objective}): cosine by layer, input first, at birth; after"
        found.append(Claim(what, "–", "derived", by_layer, None))
    return found


def _three(course: Course, name: str) -> str:
    """Means over seeds at the three moments; scatter and samples, which may be infinite, are medians."""
    values = []
    for moment in (BIRTH, MIDWAY, AFTER):
        seeds = course.of(name, moment)
        median = name == "noise" or name.endswith("samples")
        value = float(np.nanmedian(seeds)) if median and np.isfinite(seeds).any() else float(nan_mean(seeds))
        values.append("never" if value == np.inf else f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}")
    return " → ".join(values)


def numbers(courses: Sequence[Course]) -> dict[str, object]:
    """Everything, for result.json: by rule, the three moments, one number (or row) a seed each."""
    return {
        course.contestant.short: {
            "name": course.contestant.name,
            "kind": course.contestant.rule.kind,
            "objective": course.contestant.objective,
            "rate_factor": course.factor,
            "path_efficiency": course.efficiency.tolist(),
            "moments": [{name: value.tolist() for name, value in moment.items()} for moment in course.moments],
        }
        for course in courses
    }
