"""The table of rules is what the code says, and every number in it has a test that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaplastic.inner_loop.rules.library import RULES
from metaplastic.platform.rule_table import EVIDENCE, PAGES, genes, markdown, rows, source

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rules" / "README.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the repository's docs are not beside these tests")
def test_the_page_is_what_the_command_writes():
    assert PAGE.read_text(encoding="utf-8") == markdown(), "metaplastic rules --markdown > docs/rules/README.md"


def test_every_rule_has_a_row_and_a_file():
    table = rows()
    assert [row.kind for row in table] == list(RULES)
    import metaplastic

    for row in table:
        assert (Path(metaplastic.__file__).parent / row.file).is_file()
        assert row.equation


def test_rows_say_what_the_code_says():
    by_kind = {row.kind: row for row in rows()}
    assert by_kind["oja"].equation == "Δw_ij = η y_i (x_j - y_i w_ij)"
    assert by_kind["oja"].locality == "post, pre, weight"
    assert by_kind["oja"].genes == "eta"
    assert by_kind["oja"].source == "Oja 1982"
    assert by_kind["sanger"].locality == "nonlocal, post, pre"
    assert by_kind["mlp"].genes == "eta, units, trace_decay"
    assert genes(RULES["polynomial"]) == ["eta", "terms", "masks"]
    assert source(RULES["fixed"]) == ""


def test_what_was_reached_names_a_test_and_a_rule_that_are_there():
    assert EVIDENCE.keys() <= RULES.keys()
    for evidence in EVIDENCE.values():
        assert (Path(__file__).parents[1] / "inner_loop" / evidence.test).is_file()


@pytest.mark.skipif(not PAGE.exists(), reason="the repository's docs are not beside these tests")
def test_pages_that_rows_point_to_are_there():
    for page in PAGES.values():
        assert (PAGE.parent / page).is_file()
