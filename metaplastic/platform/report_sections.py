"""The sections of a report; each is there when the run left what it tells, and absent otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from metaplastic.platform import figures, figures_search
from metaplastic.platform.figure_formula import formula
from metaplastic.platform.figure_style import images
from metaplastic.platform.figures import plus_minus, shown
from metaplastic.platform.report_page import Html, Picture, Section, details, element, table
from metaplastic.platform.report_summary import champion_of
from metaplastic.platform.run_results import Comparison, Entry, FitnessHistory, Results, finite, number, numbers

LONGEST = 60_000
"""characters of a file shown in full"""


def comparison(results: Results) -> Section | None:
    """Bars and table of the champion and its controls."""
    data = results.comparison
    if data is None or not data.entries:
        return None
    order = figures.ranked(data.entries)
    entries = [data.entries[index] for index in order]
    told = "; ".join(f"{entry.name} {plus_minus(entry.mean, entry.sd)}" for entry in entries)
    lines = ", ".join(f"{n} {shown(v)}" for n, v in (("chance", data.chance), ("ceiling", data.ceiling)) if finite([v]))
    unseen = "on material that the search had not seen" if data.held_out else "on the material of the search"
    caption = f"Mean {data.score_name} (bar, tick), each lifetime a dot, {unseen}."
    rows = [
        [e.name, ROLES.get(e.role, e.role), shown(e.mean), shown(e.sd), str(len(finite(e.scores)))] for e in entries
    ]
    return Section(
        "comparison",
        "Comparison",
        [
            _picture("comparison", figures.comparison(data), f"Bars of the score. {told}. Lines: {lines}.", caption),
            table(
                f"{data.score_name} in the test trials of n lifetimes; sd over lifetimes",
                ["who", "what it is", "mean", "± sd", "n"],
                rows,
                numeric=2,
                strong=[row for row, entry in enumerate(entries) if entry.role == "champion"],
            ),
        ],
    )  # fmt: skip


ROLES = {"champion": "found by evolution", "start": "before evolution", "ceiling": "upper bound"}


def learning(results: Results) -> Section | None:
    """Learning curves within a lifetime."""
    data, whose = results.comparison, "mean over lifetimes, band ± sd."
    if data is None or not any(finite(entry.curve) for entry in data.entries):
        data, whose = _population_curves(results), "mean over the population; the champion was not compared yet."
    if data is None:
        return None
    told = "; ".join(_rise(entry) for entry in data.entries if finite(entry.curve))
    caption = f"Score while learning, in blocks of trials: {whose}"
    alt = f"Lines of score against trials. {told}."
    picture = _picture("learning_curves", figures.learning_curves(data), alt, caption)
    return Section("learning", "Learning within a lifetime", [picture])


def _population_curves(results: Results) -> Comparison | None:
    """The first and the last generation's mean learning curve, for a run that was not compared."""
    found = []
    for record in results.generations:
        metrics = record.get("metrics")
        curve = numbers(metrics.get("curve")) if isinstance(metrics, dict) else []
        if finite(curve):
            found.append(Entry(f"generation {record['generation']}", "champion", math.nan, math.nan, [], curve, []))
    if not found:
        return None
    task = results.experiment.get("task")
    trials = task.get("trials") if isinstance(task, dict) else 0
    entries = [found[0]._replace(role="start"), found[-1]] if len(found) > 1 else found
    return Comparison("score", math.nan, math.nan, trials if isinstance(trials, int) else 0, False, entries)


def _rise(entry: Entry) -> str:
    curve = finite(entry.curve)
    return f"{entry.name} from {shown(curve[0])} to {shown(curve[-1])}"


def evolution(results: Results) -> Section | None:
    """Fitness over generations, the Pareto front and the archive."""
    parts: list[Html | Picture] = []
    told = [history for history in results.fitness if finite([*history.best, *history.quantiles[50]])]
    if told:
        alt = "; ".join(_climb(history) for history in told)
        caption = (
            "Fitness over generations: the population's median, 25 to 75 % (dark band) and 5 to 95 % (light band), "
            f"the best of each generation and the best so far"
            f"{f' by {told[0].name}' if len(told) > 1 else ''}.{_negated(results)}"
        )
        parts.append(_picture("fitness", figures_search.fitness(told), f"Lines of fitness. {alt}.", caption))
    if results.pareto:
        data = results.pareto
        alt = f"{len(data.points)} individuals by {' and '.join(data.objectives)}; {len(data.front)} are not dominated."
        caption = (
            "Individuals by their objectives; those in blue are dominated by nobody (the Pareto front)."
            + _negated(results)
        )
        parts.append(_picture("pareto", figures_search.pareto(data), alt, caption))
    if results.archive:
        data = results.archive
        filled = {tuple(cell[:-1]) for cell in data.cells}
        best = max(finite([cell[-1] for cell in data.cells]), default=math.nan)
        alt = f"{len(filled)} of {math.prod(data.shape)} cells are filled; the best fitness is {shown(best)}."
        over = f", the best over {', '.join(data.measures[2:])}" if len(data.measures) > 2 else ""
        caption = f"The best brain of every kind: fitness by {' and '.join(data.measures[:2])}{over}. {alt}"
        parts.append(_picture("archive", figures_search.archive(data), f"Map of fitness. {alt}", caption))
    return Section("evolution", "Evolution", parts) if parts else None


def _negated(results: Results) -> str:
    goals = results.experiment.get("fitness")
    some = isinstance(goals, list) and any(isinstance(goal, dict) and goal.get("goal") == "minimise" for goal in goals)
    return " Objectives to be minimised are negated: higher is better." if some else ""


def _climb(history: FitnessHistory) -> str:
    best, median = finite(history.best_so_far), finite(history.quantiles[50])
    ends = [
        f"{name} from {shown(v[0])} to {shown(v[-1])}" for name, v in (("best so far", best), ("median", median)) if v
    ]
    return f"{history.name}: {', '.join(ends)}"


def rule(results: Results) -> Section | None:
    """The champion's rule as a formula, its coefficients, and what each term is for."""
    given = results.champion.get("formula")
    written = given if isinstance(given, dict) else {}
    parts: list[Html | Picture] = []
    for key, title in (
        ("symbolic_", "With its coefficients as letters"),
        ("", "With the numbers that evolution found"),
    ):
        text, latex = _lines(written.get(f"{key}text")), _lines(written.get(f"{key}latex"))
        if text or latex:
            parts += [element("h3", title), *_formula(f"formula_{key}".rstrip("_"), text, latex)]
    if written.get("known_as"):
        parts.append(element("p", f"This is {written['known_as']}."))
    coefficients = results.champion.get("coefficients")
    if isinstance(coefficients, dict) and coefficients:
        rows = [[str(name), _value(value)] for name, value in coefficients.items()]
        parts.append(table("Coefficients", ["coefficient", "value"], rows, numeric=1))
    if results.ablation:
        parts += _ablation(results)
    return Section("rule", "The rule", parts) if parts else None


def _lines(value: Any) -> list[str]:
    given = value if isinstance(value, list) else str(value or "").splitlines()
    return [str(line).strip().strip("$") for line in given if str(line).strip()]


def _formula(name: str, text: list[str], latex: list[str]) -> list[Html | Picture]:
    """Drawn where mathtext can, and as text to copy in any case."""
    parts: list[Html | Picture] = []
    if latex:
        try:
            drawn = _picture(name, formula(latex), f"Formula: {'; '.join(text or latex)}", "")
            parts.append(drawn._replace(wide=False))
        except ValueError as why:  # LaTeX that matplotlib cannot set is still there to copy
            parts.append(element("p", f"(not drawn: {str(why).strip().splitlines()[-1]})", class_="notes"))
    if text:
        parts.append(element("pre", element("code", "\n".join(text))))
    if latex:
        aligned = [r"\begin{align*}", *latex, r"\end{align*}"] if any("&" in line for line in latex) else latex
        parts.append(details("LaTeX", "\n".join(aligned)))
    return parts


def _ablation(results: Results) -> list[Html | Picture]:
    champion = champion_of(results.comparison) if results.comparison else None
    whole = champion.mean if champion else number(results.champion.get("score"))
    rows = [[row.without, plus_minus(row.mean, row.sd), _change(row.mean, whole)] for row in results.ablation]
    told = "; ".join(f"without {row[0]} {row[1]}" for row in rows)
    return [
        element("h3", "What each term is for"),
        _picture(
            "ablation",
            figures.ablation(results.ablation, whole, results.comparison.score_name if results.comparison else "score"),
            f"Bars of the score without each term. Whole rule {shown(whole)}; {told}.",
            "Score of the champion with one term of its rule left out: mean (bar), each lifetime a dot; "
            "line: the whole rule.",
        ),
        table("Each term left out", ["without", "mean ± sd", "change"], rows, numeric=1),
    ]


def _change(mean: float, whole: float) -> str:
    return f"{mean - whole:+.3f}" if math.isfinite(mean - whole) else "–"


def genes(results: Results) -> Section | None:
    """Genes over generations, and the champion's."""
    found = results.champion.get("genes")
    values = found if isinstance(found, dict) else {}
    parts: list[Html | Picture] = []
    if results.genes:
        drawn = results.genes[: figures_search.PANELS]
        told = "; ".join(f"{g.name} from {shown(_end(g.mean, 0))} to {shown(_end(g.mean, -1))}" for g in drawn)
        spread = "median, 25 to 75 % and 5 to 95 %" if any(finite(g.quantiles[50]) for g in drawn) else "mean ± sd"
        more = len(results.genes) - len(drawn)
        dot = ", the champion (orange dot)" if finite([g.champion for g in drawn]) else ""
        caption = f"The population's {spread} (blue){dot}; the axis is the range that evolution may use" + (
            f". {more} more genes are not drawn." if more else "."
        )
        parts.append(_picture("genes", figures_search.genes(results.genes), f"Mean of each gene: {told}.", caption))
    if values:
        ranges = {gene.name: gene for gene in results.genes}
        rows = [[str(name), _value(value), *_range(ranges.get(str(name)))] for name, value in values.items()]
        parts.append(table("The champion's genes", ["gene", "value", "low", "high", "scale"], rows, numeric=1))
    return Section("genes", "Genes", parts) if parts else None


def _end(values: list[float], place: int) -> float:
    return finite(values)[place] if finite(values) else math.nan


def _range(gene: Any) -> list[str]:
    if gene is None or math.isnan(gene.low):
        return ["", "", ""]
    return [f"{gene.low:g}", f"{gene.high:g}", "log" if gene.log else "linear"]


def _value(value: Any) -> str:
    """A number to four digits, many by their count, mean and sd, anything else as it is."""
    if isinstance(value, dict) and math.isfinite(number(value.get("mean"))):
        return f"{value.get('count', 'many')} numbers, {plus_minus(number(value['mean']), number(value.get('sd')))}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def files(results: Results) -> Section | None:
    """The champion and the experiment, as files to feed back."""
    parts: list[Html | Picture] = []
    if results.champion_text:
        parts.append(details("champion.yaml: a plain experiment, without genes", _short(results.champion_text)))
    if results.experiment_text:
        parts.append(details("experiment.yaml: what was asked for", _short(results.experiment_text)))
    return Section("files", "Experiment files", parts) if parts else None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} characters more in the file"


def environment(results: Results) -> Section | None:
    """Versions, seeds, the command, and what the run cost."""
    rows = [*_cost(results.generations), *_flat(results.environment)]
    if not rows:
        return None
    return Section("environment", "Environment and seeds", [table("What it ran on", ["setting", "value"], rows)])


def _cost(generations: list[dict[str, Any]]) -> list[list[str]]:
    seconds = finite([number(record.get("seconds")) for record in generations])
    speeds = sorted(finite([number(record.get("lifetimes_per_second")) for record in generations]))
    steps = finite([number(record.get("environment_steps")) for record in generations])
    rows = [["generations", f"{len(generations):,}"]] if generations else []
    if seconds:
        rows.append(["time in generations", f"{sum(seconds):,.1f} s"])
    if speeds:
        rows.append(["lifetimes a second, median", f"{speeds[len(speeds) // 2]:,.1f}"])
    if steps:
        rows.append(["environment steps", f"{max(steps):,.0f}"])
    return rows


def _flat(value: dict[str, Any], before: str = "") -> list[list[str]]:
    rows = []
    for name, item in value.items():
        if isinstance(item, dict):
            rows += _flat(item, f"{before}{name}.")
        elif name == "command" and isinstance(item, list):
            rows.append([f"{before}{name}", " ".join(map(str, item))])
        else:
            plain = "none" if item is None or item == [] else json.dumps(item, ensure_ascii=False)
            rows.append([f"{before}{name}", item if isinstance(item, str) else plain])
    return rows


def _picture(name: str, figure: Any, alt: str, caption: str) -> Picture:
    return Picture(name, *images(figure), alt, caption)


SECTIONS: list[Callable[[Results], Section | None]] = [
    comparison, learning, evolution, rule, genes, environment, files,
]  # fmt: skip
"""in the order of the page"""
