"""Studies: the folder that they leave, the verdict, the command's refusals."""

import json
from typing import ClassVar

import pytest

from metaplastic.core import ConfigError
from metaplastic.platform.figure_style import new_figure
from metaplastic.studies import command
from metaplastic.studies.page import verdict
from metaplastic.studies.registry import STUDIES, all_studies, study
from metaplastic.studies.study import Claim, Drawing, Result, Run, Study, enough, mean_and_error, read_result, run_study


class Toy(Study):
    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "A toy <study>"
    question: ClassVar[str] = "Does it hold?"
    method: ClassVar[str] = "Nothing is done."
    departures: ClassVar = ("There is no paper.",)
    references: ClassVar = ("Nobody 1900",)
    minutes: ClassVar[float | None] = None

    def run(self, run: Run) -> Result:
        run.say("half way")
        figure = new_figure(2.0)
        figure.subplots().plot([0, 1], [0, run.seeds])
        claims = [
            Claim("slope", "≥ 1", "published", str(run.seeds), run.seeds >= 1),
            Claim("height", "≥ 3", "proposed", str(run.seeds), run.seeds >= 3),
            Claim("colour", "blue", "recalled", "blue", None),
        ]
        return Result(claims, [Drawing("line", figure, "a line", "It rises.")], {"seeds": run.seeds})


def test_a_study_leaves_page_figures_and_numbers(tmp_path):
    said: list[str] = []
    result = run_study(Toy(), Run(tmp_path / "toy", seeds=4, say=said.append))
    assert result.holds
    assert said == ["half way"]
    names = sorted(path.name for path in (tmp_path / "toy").iterdir())
    assert names == ["line.png", "line.svg", "page.html", "result.json"]
    page = (tmp_path / "toy" / "page.html").read_text()
    for text in (
        "A toy &lt;study&gt;",
        "Does it hold?",
        "slope",
        "published",
        "There is no paper.",
        "It rises.",
        "--seeds 4",
    ):
        assert text in page
    found = read_result(tmp_path / "toy")
    assert found["holds"] is True
    assert found["claims"][0] == {
        "what": "slope",
        "published": "≥ 1",
        "source": "published",
        "measured": "4",
        "within": True,
    }


def test_a_claim_that_is_missed_is_said_and_one_that_decides_nothing_is_not(tmp_path):
    run = Run(tmp_path / "toy", seeds=2, say=lambda _: None)
    result = run_study(Toy(), run)
    assert not result.holds
    assert verdict(run, result) == "1 of 2 claims that decide are within"
    assert ">NO<" in (run.out / "page.html").read_text()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty, and nothing is overwritten"):
        run_study(Toy(), Run(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("volatilty", {}, "study is 'volatilty', wanted one of .*did you mean 'volatility'"),
        ("volatility", {"quick": True, "full": True}, "--quick and --full were both given"),
        ("volatility", {"seeds": 0}, "seeds is 0, wanted at least 1"),
    ],
)
def test_mistakes_get_one_line(tmp_path, name, words, message):
    given = {"seeds": 1, "seed": 0, "quick": False, "full": False, "data_root": None} | words
    with pytest.raises(ConfigError, match=message):
        command.study_command(name, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_it_is(name):
    one = study(name)
    assert one.name == name
    assert one.question.endswith("?")
    assert one.references
    assert one.minutes is None or one.minutes > 0


def test_the_list_names_all():
    table = command.list_studies()
    assert table.row_count == len(all_studies()) == len(STUDIES)


def test_means_and_shares():
    assert mean_and_error([1.0, 2.0, 3.0], 2) == "2.00 ± 0.58 (n = 3)"
    assert mean_and_error([1.0], 1) == "1.0 (n = 1)"
    assert enough([True] * 6 + [False] * 2)
    assert not enough([True] * 5 + [False] * 3)
    assert enough([True] * 7 + [False], 0.875)


def test_a_result_is_plain_json(tmp_path):
    run_study(Toy(), Run(tmp_path / "toy", say=lambda _: None))
    json.loads((tmp_path / "toy" / "result.json").read_text())
