"""Figures show the data: lengths of bars, places of points, limits of axes; and leave nothing behind."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from finished_run import write_run

from metaplastic.platform import figures, figures_search
from metaplastic.platform.figure_formula import broken, fits, formula, terms
from metaplastic.platform.figure_style import WIDTH, apart, images, literal
from metaplastic.platform.run_results import (
    QUANTILES,
    Ablation,
    Archive,
    Comparison,
    Entry,
    FitnessHistory,
    GeneHistory,
    Pareto,
    Results,
    read_results,
)

LIVED = Comparison(
    "hits",
    0.25,
    1.0,
    120,
    True,
    [
        Entry("plasticity off", "control", 0.2, 0.1, [0.1, 0.3], [0.25, 0.2, 0.3], [0.1, 0.1, 0.1]),
        Entry("champion", "champion", 0.9, 0.05, [0.85, 0.95], [0.3, 0.6, 0.9], [0.0, 0.1, 0.2]),
        Entry("lost", "control", math.nan, math.nan, [], [], []),
    ],
)


NO_QUANTILES: dict[int, list[float]] = {percent: [math.nan] for percent in QUANTILES}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read_results(write_run(tmp_path_factory.mktemp("run"), generations=5))


def test_bars_are_as_long_as_the_means_best_on_top() -> None:
    axes = figures.comparison(LIVED).axes[0]
    assert [patch.get_width() for patch in axes.patches if patch.get_height() > 0.5][1:] == [0.2, 0.9]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lost", "plasticity off", "champion"]
    dots = np.concatenate([np.asarray(points.get_offsets()) for points in axes.collections])
    assert dots[:, 0].tolist() == [0.1, 0.3, 0.85, 0.95]
    assert np.abs(dots[:, 1] - [1, 1, 2, 2]).max() < 0.31
    assert axes.get_xlim()[0] == 0


def test_learning_curves_lie_at_the_middle_of_their_blocks() -> None:
    axes = figures.learning_curves(LIVED).axes[0]
    champion = next(line for line in axes.lines if line.get_linewidth() > 2)
    assert champion.get_xdata().tolist() == [20.0, 60.0, 100.0]  # three blocks of 40 trials
    assert champion.get_ydata().tolist() == [0.3, 0.6, 0.9]
    assert axes.get_xlim() == (0, 120)
    assert {text.get_text() for text in axes.texts} == {"chance", "ceiling", "plasticity off", "champion"}


def test_an_entry_has_one_colour_in_every_figure() -> None:
    entries = [LIVED.entries[0], *(LIVED.entries[2]._replace(name=f"control {n}") for n in range(5)), LIVED.entries[1]]
    colours = figures.entry_colours(entries)
    assert len(set(colours)) == len(entries)
    assert figures.entry_colours(entries[:1] + entries[-1:]) == [colours[0], colours[-1]]


def test_fitness_has_a_panel_an_objective_with_its_numbers(results: Results) -> None:
    figure = figures_search.fitness(results.fitness)
    assert [axes.get_ylabel() for axes in figure.axes] == ["fitness (score)", "fitness (-activity)"]
    for axes, history in zip(figure.axes, results.fitness, strict=True):
        drawn = [line.get_ydata().tolist() for line in axes.lines]
        assert drawn == [history.best_so_far, history.best, history.quantiles[50]]


def test_the_axis_of_a_gene_is_the_range_that_evolution_may_use(results: Results) -> None:
    figure = figures_search.genes(results.genes)
    eta, _, epsilon = (axes for axes in figure.axes[:3])
    assert (eta.get_yscale(), epsilon.get_yscale()) == ("log", "linear")
    assert eta.get_yticks() == pytest.approx([1e-4, 1e-2, 1.0])  # the middle is the geometric mean
    assert epsilon.get_yticks() == pytest.approx([0.0, 0.25, 0.5])
    for axes, (low, high) in ((eta, (1e-4, 1.0)), (epsilon, (0.0, 0.5))):
        bottom, top = axes.get_ylim()
        assert bottom < low < high < top
        assert axes.lines[0].get_ydata().min() > low


def test_the_champion_is_a_dot_on_the_axis_of_each_gene_that_is_one_number(results: Results) -> None:
    panels = figures_search.genes(results.genes).axes
    dots = [panel.lines[1].get_ydata()[0] for panel in panels[:5]]
    assert dots == pytest.approx([0.0317, 0.00012, 0.043, 96, math.nan], nan_ok=True)


def test_a_gene_of_unknown_range_and_a_single_generation_are_drawn() -> None:
    gene = GeneHistory("a.very.long.place.of.a.gene", math.nan, math.nan, True, [4], [0.5], [0.1], NO_QUANTILES, 0.3)
    axes = figures_search.genes([gene]).axes[0]
    assert axes.get_title(loc="left") == "…very.long.place.of.a.\ngene"
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.5], [0.3]]
    assert [line.get_marker() for line in axes.lines] == ["o", "o"]


def test_a_gene_is_drawn_by_its_quantiles_and_by_mean_and_sd_where_there_are_none() -> None:
    gene = GeneHistory("gain", 0.0, 9.0, False, [0, 1], [2.0, 3.0], [0.5, 1.0], NO_QUANTILES, math.nan)
    assert figures_search.bands(gene) == ([[1.5, 2.0]], [2.0, 3.0], [[2.5, 4.0]])
    quantiles = {percent: [percent / 10, percent / 20] for percent in QUANTILES}
    assert figures_search.bands(gene._replace(quantiles=quantiles)) == (
        [[0.5, 0.25], [2.5, 1.25]],
        [5.0, 2.5],
        [[9.5, 4.75], [7.5, 3.75]],
    )


def test_a_long_search_is_thinned_and_keeps_its_ends() -> None:
    kept = figures_search.thin(range(10_001))
    assert len(kept) == figures_search.POINTS
    assert (kept[0], kept[-1]) == (0, 10_000)
    assert max(np.diff(kept)) - min(np.diff(kept)) <= 1
    assert figures_search.thin([3, 1, 2]) == [3, 1, 2]


def test_the_front_is_apart_from_the_rest() -> None:
    data = Pareto(["score", "thrift", "speed"], [[1.0, 0.0, 5.0], [0.4, 0.3, 6.0], [0.0, 1.0, 7.0]], [2, 0])
    figure = figures_search.pareto(data)
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes] == [("score", "thrift"), ("score", "speed")]
    rest, front = (np.asarray(points.get_offsets()).tolist() for points in figure.axes[1].collections)
    assert rest == [[0.4, 6.0]]
    assert front == [[0.0, 7.0], [1.0, 5.0]]


def test_the_archive_shows_the_best_of_each_cell_and_leaves_empty_ones_empty() -> None:
    cells = [[0, 1, 0, 0.5], [0, 1, 4, 0.7], [0, 1, 2, 0.6], [2, 0, 1, math.nan]]
    data = Archive(["activity", "speed", "age"], [3, 2, 5], [[0.0, 6.0], [1.0, 2.0], [0.0, 1.0]], cells)
    image = figures_search.archive(data).axes[0].images[0]
    shown = np.asarray(image.get_array().filled(math.nan))  # [speed, activity]
    assert shown[1, 0] == 0.7
    assert np.isnan(shown).sum() == 5
    assert list(image.get_extent()) == [0.0, 6.0, 1.0, 2.0]
    line = figures_search.archive(Archive(["activity"], [4], [[0.0, 2.0]], [[3, 0.9]])).axes[0]
    assert np.asarray(line.collections[0].get_offsets()).tolist() == [[1.75, 0.9]]


def test_ablation_names_terms_by_their_formula_where_it_can_be_set() -> None:
    rows = [
        Ablation("eta * pre", r"\eta x_{j}", 0.1, 0.2, [0.0, 0.2]),
        Ablation("step(x)", r"\begin{cases}", 0.8, 0.1, []),
    ]
    axes = figures.ablation(rows, 0.9).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["step(x)", r"$\eta x_{j}$"]
    assert [patch.get_width() for patch in axes.patches] == [0.8, 0.1]


def test_a_long_formula_is_broken_before_signs_outside_of_brackets() -> None:
    assert terms(r"w = - a + b \left(c + d\right) - \frac{e - f}{g} + h^{- 1}") == [
        "w = - a ", r"+ b \left(c + d\right) ", r"- \frac{e - f}{g} ", "+ h^{- 1}",
    ]  # fmt: skip
    assert terms(r"\left|{a + b}\right| \leftarrow c + d") == [r"\left|{a + b}\right| \leftarrow c ", "+ d"]
    long = r"\Delta w_{ij} = " + " + ".join(rf"{n}.5 \, \tanh{{\left(x_{{j}} - {n} \right)}}" for n in range(11))
    lines = broken(long)
    assert "".join(line for _, line in lines) == long
    assert len(lines) > 2
    assert formula([long]).get_figwidth() <= WIDTH


def test_equations_stand_one_under_the_other_at_their_signs() -> None:
    figure = formula([r"e_{ij} &\leftarrow \lambda \, e_{ij} + x_j \\", r"\Delta w_{ij} &= \eta \, e_{ij}"])
    left, trace, longer, update = figure.texts
    assert [text.get_text() for text in (left, longer)] == ["$e_{ij}$", r"$\Delta w_{ij}$"]
    assert trace.get_position()[0] == update.get_position()[0]
    assert left.get_position()[0] > longer.get_position()[0]
    assert left.get_position()[1] == trace.get_position()[1] > update.get_position()[1]


def test_what_mathtext_cannot_set_is_refused() -> None:
    assert fits(r"\frac{a}{b} \operatorname{sign}{\left(x \right)}")
    assert not fits(r"\begin{cases} a \end{cases}")
    with pytest.raises(ValueError, match="begin"):
        formula([r"\begin{cases} a \end{cases}"])


def test_labels_are_moved_apart_no_more_than_needed() -> None:
    assert apart([0.0, 5.0], 1.0) == [0.0, 5.0]
    assert apart([2.0, 2.0, 2.0], 1.0) == [1.0, 2.0, 3.0]
    assert apart([0.0, 0.5, 9.0], 1.0) == [-0.25, 0.75, 9.0]
    assert apart([], 1.0) == []


def test_dollars_in_names_are_dollars_and_drawing_leaves_no_trace() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    entries = [LIVED.entries[1]._replace(name="costs $5 or $6 日本")]
    svg, png = images(figures.comparison(LIVED._replace(entries=entries, score_name=r"$\nonsense{$")))
    assert svg.lstrip().startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    assert dict(rcParams) == before
    assert literal("a$b", 2) == "a…"


def test_records_of_runs_are_read_as_they_were_last_computed(tmp_path: Path) -> None:
    lines = [
        '{"generation": 1, "fitness": {"score": {"best": 0.4, "median": 0.2, "quantiles": {"5": 0.1, "95": 0.3}}}}',
        '{"generation": 0, "fitness": {"score": {"best": 0.5, "quantiles": [0.0, 0.1, 0.2, 0.3, 0.4]}}}',
        '{"generation": 1, "fitness": {"score": {"best": 0.3, "median": 0.25, "quantiles": {"95": 0.35}}}}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    (history,) = read_results(tmp_path).fitness
    assert isinstance(history, FitnessHistory)
    assert history.generation == [0, 1]
    assert history.best == [0.5, 0.3]
    assert history.best_so_far == [0.5, 0.5]
    assert history.quantiles[50] == [0.2, 0.25]
    assert history.quantiles[95] == [0.4, 0.35]
