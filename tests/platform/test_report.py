"""The report: sections follow the files, numbers are the data's, the page is whole, closed to the outside and safe."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from finished_run import COMPARED, write_run

from metaplastic.core import ConfigError
from metaplastic.platform.report import write_report
from metaplastic.platform.report_page import LARGE, Html, Picture, element, shown
from metaplastic.platform.report_summary import three_lines, what_was_done
from metaplastic.platform.run_results import read_results

EVERY = ["comparison", "learning", "evolution", "rule", "genes", "environment", "files"]
VOID = {"meta", "img"}
NASTY = '</title><script>alert("x")</script><img src=http://evil.example/a.png>&amp; $x_1$'


class Page(HTMLParser):
    """A page taken apart, and proof that its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text, self.open = "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def sections(self) -> list[str | None]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "digits-001")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text())


def only(tmp_path: Path, run: Path, *names: str) -> Path:
    """A run directory with some files of `run`."""
    for name in names:
        (tmp_path / name).write_bytes((run / name).read_bytes())
    return tmp_path


def change(run: Path, name: str, **values: object) -> None:
    data = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps({**data, **values}))


def test_a_whole_run_has_every_section_in_order(page: Page) -> None:
    assert page.sections() == EVERY


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("comparison.json", ["comparison", "learning"]),
        ("metrics.jsonl", ["evolution", "genes", "environment"]),
        ("champion.json", ["rule", "genes"]),
        ("pareto.json", ["evolution"]),
        ("archive.json", ["evolution"]),
        ("environment.json", ["environment"]),
        ("champion.yaml", ["files"]),
        ("experiment.yaml", ["files"]),
        ("genome.json", []),
    ],
)
def test_a_section_is_there_exactly_when_its_file_is(tmp_path: Path, run: Path, name: str, sections: list[str]) -> None:
    found = Page(write_report(only(tmp_path, run, name)).read_text())
    assert found.sections() == sections
    assert [href for tag, a in found.tags if tag == "a" and (href := a["href"])] == [f"#{name}" for name in sections]


def test_an_empty_run_has_a_page_that_says_so(tmp_path: Path) -> None:
    found = Page(write_report(tmp_path).read_text())
    assert found.sections() == []
    assert "no results yet" in found.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_path_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such run directory"):
        write_report(tmp_path / "nowhere")


def test_the_table_has_the_numbers_of_the_comparison_best_first(run: Path, page: Page) -> None:
    entries = json.loads((run / "comparison.json").read_text())["entries"]
    entries.sort(key=lambda entry: -entry["mean"])
    rows = page.tables[0]
    assert rows[0] == ["who", "what it is", "mean", "± sd", "n"]
    assert [[row[0], *row[2:]] for row in rows[1:]] == [
        [entry["name"], f"{entry['mean']:.3f}", f"{entry['sd']:.3f}", "7"] for entry in entries
    ]
    assert len(rows) == 1 + len(COMPARED)


def test_the_lines_of_result_are_worked_by_hand(tmp_path: Path) -> None:
    entries = [
        {"name": "champion", "role": "champion", "mean": 0.8, "sd": 0.1, "scores": [0.9, 0.7, 0.8]},
        {"name": "plasticity off", "role": "control", "mean": 0.4, "sd": 0.17, "scores": [0.5, 0.5, 0.2]},
        {"name": "another crowd", "role": "control", "mean": 0.9, "sd": 0.1, "scores": [0.8, 1.0]},
        {"name": "backprop", "role": "ceiling", "mean": 0.9, "sd": 0.1, "scores": [0.9, 0.9, 0.9]},
    ]
    comparison = {"score_name": "hits", "chance": 0.25, "ceiling": 1, "entries": entries}
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    records = [{"generation": g, "failed": g, "fitness": {"score": {"best": [0.5, 0.4, 0.75][g]}}} for g in range(3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    champion, gain, evolution = (Page(line).text for line in three_lines(read_results(tmp_path)))
    assert champion == "Champion: hits 0.800 ± 0.100 (mean ± sd of 3 lifetimes); chance is 0.250, ceiling is 1.000."
    # differences 0.4, 0.2, 0.6: mean 0.4, sd 0.2, standard error 0.2 / sqrt(3) = 0.115
    gains = "+0.400 ± 0.115 over plasticity off; -0.100 over another crowd"
    assert gain == f"Gain: {gains} (± standard error, lifetime by lifetime)."
    assert evolution == "Evolution: best fitness from 0.500 to 0.750 in 3 generations; 3 individuals failed."


def test_a_term_left_out_is_measured_against_the_champion_on_the_same_lives(run: Path, page: Page) -> None:
    entries = json.loads((run / "comparison.json").read_text())["entries"]
    whole = next(entry["mean"] for entry in entries if entry["role"] == "champion")
    rows = next(table for table in page.tables if table[0][0] == "without")
    assert rows[1:] == [
        ["eta * rpe * feedback * pre", "0.103 ± 0.020", f"{0.103 - whole:+.3f}"],
        ["decay * w", "0.842 ± 0.035", f"{0.842 - whole:+.3f}"],
    ]


def test_what_was_done_is_told_from_the_experiment(run: Path, tmp_path: Path) -> None:
    told = what_was_done(read_results(run))
    assert told.startswith("Evolution (snes, 64 individuals a generation) searched 5 genes of a feedforward network")
    assert "for 5 of 40 generations" in told
    assert "4 lifetimes of 2,000 trials of learning and 200 trials of test" in told
    assert "score and activity (to be minimised)" in told
    (tmp_path / "experiment.yaml").write_text(
        "task: {choice: [{kind: bandit}, {kind: digits}]}\nnetwork: {kind: rate_rnn}\nrule: {kind: oja}\nlifetimes: 1"
    )
    alone = what_was_done(read_results(tmp_path))
    assert alone == "This is a rate_rnn network with the rule ‘oja’ on the task ‘bandit or digits’. " + (
        "Each individual lived 1 lifetime."
    )


def test_the_page_loads_nothing_from_outside(page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    assert page.attributes("src")
    assert all(source.startswith("data:image/") for source in page.attributes("src"))
    assert all(target.startswith("#") for target in page.attributes("href"))
    assert any("default-src 'none'" in content for content in page.attributes("content"))
    for source in page.attributes("src"):
        svg = base64.b64decode(source.split(",", 1)[1]).decode()
        assert set(re.findall(r'xlink:href="(#|data:|.{9})', svg)) <= {"#", "data:"}


def test_every_figure_is_described_in_words_and_every_anchor_is_one(run: Path, page: Page) -> None:
    alts = page.attributes("alt")
    assert len(alts) == len(page.attributes("src")) == len(list((run / "figures").glob("*.svg"))) == 9
    assert all(len(alt) > 20 for alt in alts)
    assert "champion 0.8" in alts[0]
    assert len(page.attributes("id")) == len(set(page.attributes("id")))


def test_a_page_is_small_enough_to_be_mailed(run: Path) -> None:
    assert (run / "report.html").stat().st_size < 2_000_000
    heavy = Picture("x", b"s" * LARGE, b"png", "alt", "caption")
    assert "image/png;base64,cG5n" in shown(heavy)
    assert "image/svg+xml" in shown(heavy._replace(svg=b"s" * (LARGE - 1)))


def test_text_of_users_never_becomes_markup(tmp_path: Path) -> None:
    run = write_run(tmp_path, generations=2)
    comparison = json.loads((run / "comparison.json").read_text())
    comparison["entries"][0]["name"] = comparison["score_name"] = NASTY
    (run / "comparison.json").write_text(json.dumps(comparison))
    (run / "experiment.yaml").write_text(json.dumps({"name": NASTY, "notes": NASTY, "task": {"kind": NASTY}}))
    (run / "champion.yaml").write_text(NASTY)
    (run / "environment.json").write_text(json.dumps({NASTY: NASTY, "packages": {NASTY: [NASTY]}}))
    formula = {"text": NASTY, "latex": NASTY, "symbolic_text": NASTY, "symbolic_latex": NASTY}
    ablation = [{"without": NASTY, "latex": NASTY, "mean": 0.1, "sd": 0.2}]
    change(run, "champion.json", formula=formula, coefficients={NASTY: 1.0}, genes={NASTY: NASTY}, ablation=ablation)
    change(run, "pareto.json", objectives=["score", NASTY])
    change(run, "archive.json", measures=[NASTY, "speed"])
    record = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    record["genes"], record["fitness"] = {NASTY: {"mean": 1.0, "sd": 0.1}}, {NASTY: {"best": 1.0, "median": 0.5}}
    (run / "metrics.jsonl").write_text(json.dumps(record))
    text = write_report(run).read_text()
    found = Page(text)
    assert found.sections() == EVERY
    assert "<script" not in text
    assert not [tag for tag, _ in found.tags if tag == "script"]
    assert all(source.startswith("data:") for source in found.attributes("src"))
    assert found.text.count(NASTY) > 12


def test_an_element_escapes_text_and_keeps_html() -> None:
    assert element("p", "a < b & ", element("b", '"c"'), class_='x"y') == Html(
        '<p class="x&quot;y">a &lt; b &amp; <b>&quot;c&quot;</b></p>'
    )


def test_missing_numbers_are_dashes_and_break_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path, generations=3)
    nothing = {"mean": None, "sd": math.nan, "scores": [None, math.nan], "curve": [None, 0.2], "curve_sd": []}
    entries = [{"name": "champion", "role": "champion", **nothing}, {"name": "half", "mean": 0.5, "curve": "no"}, {}]
    change(run, "comparison.json", entries=entries, chance=None, ceiling=math.inf, trials=None)
    change(run, "champion.json", formula="?", coefficients=None, genes=3, ablation=[{}, 7], score=None)
    change(run, "pareto.json", points=[[0.1, None], [0.3, 0.2]], front=[0, 1, 99, "x"])
    change(run, "archive.json", cells=[[0, 0, None], [1, 1, 0.5], [99, 0, 1.0], "x"])
    dead = {"best": None, "mean": math.nan, "median": None, "quantiles": [None] * 5}
    records = [{"generation": g, "fitness": {"score": dead}, "genes": {"eta": {"mean": None}}} for g in range(3)]
    records += [{"generation": 3, "fitness": None, "genes": {"eta": {"mean": 0.5, "sd": None}}, "failed": None}]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    found = Page(write_report(run).read_text())
    assert found.sections() == EVERY
    assert [row[0] for row in found.tables[0][1:]] == ["half", "champion", "unnamed"]
    assert [row[2:] for row in found.tables[0][2:]] == [["–", "–", "0"], ["–", "–", "0"]]


def test_files_that_cannot_be_read_are_named_and_the_rest_is_shown(tmp_path: Path, run: Path) -> None:
    only(tmp_path, run, "experiment.yaml", "environment.json")
    (tmp_path / "metrics.jsonl").write_text('{"generation": 4}\n')
    (tmp_path / "comparison.json").write_text('{"entries": [')
    (tmp_path / "champion.yaml").write_bytes(b"\xff\xfe")
    with (tmp_path / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"generation": 5, "fit')
    found = Page(write_report(tmp_path).read_text())
    assert found.sections() == ["environment", "files"]
    for message in ("comparison.json cannot be understood", "champion.yaml cannot be read", "metrics.jsonl: 1 line "):
        assert message in found.text


def test_a_run_that_was_not_compared_shows_how_its_population_learns(tmp_path: Path) -> None:
    records = [{"generation": g, "metrics": {"curve": [0.1, 0.2 + g / 10]}} for g in range(3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    found = Page(write_report(tmp_path).read_text())
    assert found.sections() == ["learning", "environment"]
    assert "generation 0 from 0.100 to 0.200; generation 2 from 0.100 to 0.400" in found.attributes("alt")[0]


def test_a_formula_that_cannot_be_drawn_can_still_be_copied(tmp_path: Path) -> None:
    latex = r"\begin{cases} 1 & x > 0 \end{cases}"
    (tmp_path / "champion.json").write_text(json.dumps({"formula": {"text": "step(x)", "latex": f"$${latex}$$"}}))
    found = Page(write_report(tmp_path).read_text())
    assert found.attributes("src") == []
    assert "step(x)" in found.text
    assert latex in found.text


def test_a_report_is_replaced_in_one_step(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(tmp_path, run, "environment.json", "archive.json")
    before = write_report(tmp_path).read_bytes()
    change(tmp_path, "environment.json", seed=8)

    def fail(path: Path, target: Path) -> None:
        raise OSError(f"no room to put {path.name}")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(ConfigError, match="no room"):
            write_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert write_report(tmp_path).read_bytes() != before
    assert not list(tmp_path.rglob(".tmp*"))


def test_the_same_files_give_the_same_bytes_and_old_figures_go(run: Path, tmp_path: Path) -> None:
    only(tmp_path, run, "pareto.json", "archive.json")
    before = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == before
    (tmp_path / "figures" / "mine.svg").write_text("kept")
    (tmp_path / "archive.json").unlink()
    write_report(tmp_path)
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert names == {"pareto", "mine"}
