"""The words of a report: what was done, in one paragraph, and what came of it, in three lines."""

from __future__ import annotations

import math
from typing import Any

from metaplastic.platform.figures import plus_minus, shown
from metaplastic.platform.report_page import Html, element
from metaplastic.platform.run_results import Comparison, Entry, Results, finite


def what_was_done(results: Results) -> str:
    """One paragraph from the experiment; "" if it is not there."""
    experiment = results.experiment
    if not experiment:
        return ""
    words = {part: kinds(experiment.get(part)) for part in ("task", "network", "rule", "search")}
    lived = f"a {words['network']} network with the rule ‘{words['rule']}’ on the task ‘{words['task']}’"
    sentences = [_search(results, words["search"], lived) if words["search"] else f"This is {lived}."]
    task = _mapping(experiment.get("task"))
    lengths = [
        f"{_count(task[key])} trials of {what}" for key, what in LENGTHS.items() if isinstance(task.get(key), int)
    ]
    lives, metrics = experiment.get("lifetimes"), _metrics(experiment.get("fitness"))
    if isinstance(lives, int):
        sentences.append(
            f"Each individual lived {_plural(lives, 'lifetime')}"
            + (f" of {' and '.join(lengths)}." if lengths else ".")
        )
    if metrics and words["search"]:
        sentences.append(f"Fitness was {metrics}, averaged over its lifetimes.")
    if results.comparison:
        unseen = " that the search had not seen" if results.comparison.held_out else ""
        sentences.append(f"Then the champion and its controls lived the same new lifetimes{unseen}.")
    return " ".join(sentences)


LENGTHS = {"trials": "learning", "test_trials": "test with plasticity off"}


def _search(results: Results, searcher: str, lived: str) -> str:
    search = _mapping(results.experiment.get("search"))
    size = search.get("population")
    who = f"{searcher}, {size} individuals a generation" if isinstance(size, int) else searcher
    how_many = _plural(results.gene_count, "gene") if results.gene_count else "the genes"
    planned, done = results.experiment.get("generations"), len(results.generations)
    length = _plural(done, "generation")
    if isinstance(planned, int) and planned > done:
        length = f"{_count(done)} of {_plural(planned, 'generation')}"
    return f"Evolution ({who}) searched {how_many} of {lived}, for {length}."


def kinds(part: Any) -> str:
    """The kind of a component as it stands in an experiment file, or `a or b` of a choice; "" if there is none."""
    if isinstance(part, dict) and isinstance(part.get("choice"), list):
        return " or ".join(dict.fromkeys(kinds(option) for option in part["choice"]))
    return str(_mapping(part).get("kind") or "")


def _metrics(fitness: Any) -> str:
    aims = [_mapping(aim) for aim in fitness] if isinstance(fitness, list) else []
    names = [
        f"{aim['metric']}{' (to be minimised)' if aim.get('goal') == 'minimise' else ''}"
        for aim in aims
        if "metric" in aim
    ]
    return " and ".join(names)


def three_lines(results: Results) -> list[Html]:
    """The champion, what it gained, how evolution went; fewer where files are missing."""
    lines = []
    if results.comparison:
        lines += _of_comparison(results.comparison)
    if results.fitness and finite(results.fitness[0].best):
        lines.append(_of_search(results))
    return lines


def champion_of(comparison: Comparison) -> Entry | None:
    """The entry with the champion's part, if it has a mean."""
    return next((e for e in comparison.entries if e.role == "champion" and math.isfinite(e.mean)), None)


def _of_comparison(data: Comparison) -> list[Html]:
    champion = champion_of(data)
    if champion is None:
        return []
    ends = [f"{name} is {shown(v)}" for name, v in (("chance", data.chance), ("ceiling", data.ceiling)) if finite([v])]
    what = f"{data.score_name} {plus_minus(champion.mean, champion.sd)}"
    count = len(finite(champion.scores))
    lives = f" (mean ± sd of {_plural(count, 'lifetime')})" if count else ""
    first = element(
        "p", element("strong", f"Champion: {what}"), f"{lives}; {', '.join(ends)}." if ends else f"{lives}."
    )
    gains = [_gain(champion, entry) for entry in data.entries if entry.role in ("control", "start")]
    told = [gain for gain in gains if gain][:4]
    same = " (± standard error, lifetime by lifetime)" if any("±" in gain for gain in told) else ""
    return [first, element("p", element("strong", "Gain: "), f"{'; '.join(told)}{same}.")] if told else [first]


def _gain(champion: Entry, other: Entry) -> str:
    """The difference of means; with its standard error where both lived the same lifetimes."""
    if not math.isfinite(other.mean):
        return ""
    gain = champion.mean - other.mean
    text = f"{gain:+.3f}"
    if len(champion.scores) == len(other.scores) > 1:
        pairs = finite([a - b for a, b in zip(champion.scores, other.scores, strict=True)])
        if len(pairs) > 1:
            mean = sum(pairs) / len(pairs)
            variance = sum((pair - mean) ** 2 for pair in pairs) / (len(pairs) - 1)
            text += f" ± {math.sqrt(variance / len(pairs)):.3f}"
    return f"{text} over {other.name}"


def _of_search(results: Results) -> Html:
    history = results.fitness[0]
    best = finite(history.best_so_far) or finite(history.best)
    failed = sum(int(r["failed"]) for r in results.generations if isinstance(r.get("failed"), int))
    lost = f"{_plural(failed, 'individual')} failed" if failed else "nobody failed"
    return element(
        "p",
        element("strong", "Evolution: "),
        f"best fitness from {shown(best[0])} to {shown(best[-1])} in "
        f"{_plural(len(results.generations), 'generation')}; {lost}.",
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: int) -> str:
    return f"{value:,}"


def _plural(count: int, noun: str) -> str:
    return f"{_count(count)} {noun}{'' if count == 1 else 's'}"
