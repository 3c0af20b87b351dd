"""A run as a table: every number is there, once, with all its digits."""

import csv
import importlib.util
import io
import json
import sys

import pytest
from finished_run import write_run

from metaplastic.core import ConfigError
from metaplastic.platform.export import export


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", generations=5)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def recorded(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_one_row_a_generation_with_all_digits(run):
    found = rows(export(run))
    assert [int(row["generation"]) for row in found] == [0, 1, 2, 3, 4]
    for row, record in zip(found, recorded(run), strict=True):
        assert float(row["fitness/score/best"]) == record["fitness"]["score"]["best"]
        assert [float(row[f"fitness/-activity/q{q}"]) for q in ("05", "25", "50", "75", "95")] == record["fitness"][
            "-activity"
        ]["quantiles"]
        assert int(row["failed"]) == record["failed"]
        assert not any(name.startswith("genes") for name in row)


def test_genes_are_one_row_a_generation(run):
    found = rows(export(run, "genes"))
    assert (
        float(found[3]["rule.parameters.eta/q75"]) == recorded(run)[3]["genes"]["rule.parameters.eta"]["quantiles"][3]
    )
    assert len(found) == 5


def test_the_champion_is_one_row_a_gene(run):
    found = {row["gene"]: row for row in rows(export(run, "champion"))}
    assert float(found["rule.parameters.eta"]["value"]) == 0.0317
    assert (found["network.initial"]["value"], found["network.initial"]["count"]) == ("", "6144")
    assert float(found["policy.epsilon"]["high"]) == 0.5


def test_a_curve_is_a_column_a_point_and_a_gap_an_empty_cell(tmp_path):
    run = write_run(tmp_path / "run", generations=2)
    lines = [
        {"generation": 0, "metrics": {"curve": [0.25, None, 0.5]}, "genes": {}},
        {"generation": 1, "metrics": {}, "genes": {}},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert export(run).splitlines() == [
        "generation,metrics/curve/000,metrics/curve/002",
        "0,0.25,0.5",
        "1,,",
    ]


def test_a_file_is_written_and_its_size_told(run, tmp_path):
    text = export(run, out=tmp_path / "m.csv")
    assert text.startswith("metrics: 5 rows and ")
    assert (tmp_path / "m.csv").read_text().rstrip("\n") == export(run)


@pytest.mark.parametrize(
    ("table", "out", "message"),
    [
        ("metric", None, r"table is 'metric', wanted one of metrics, genes, champion \(did you mean 'metrics'\?\)"),
        ("metrics", "a.xlsx", r"a.xlsx, wanted a file that ends in \.csv or \.parquet"),
        ("metrics", "nowhere/a.csv", r"nowhere/a\.csv: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_one_line(run, tmp_path, table, out, message):
    with pytest.raises(ConfigError, match=message):
        export(run, table, tmp_path / out if out else None)


def test_a_run_without_a_champion_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "champion.json").unlink()
    with pytest.raises(ConfigError, match="nothing for the table champion yet"):
        export(run, "champion")


def test_parquet_without_pyarrow_names_the_package(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"Parquet needs pyarrow.*pip install pyarrow.*\.csv"):
        export(run, out=tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_holds_what_csv_holds(run, tmp_path):
    from pyarrow import parquet

    export(run, out=tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    text = rows(export(run))
    assert table.column_names == list(text[0])
    for name in table.column_names:
        for value, cell in zip(table[name].to_pylist(), (row[name] for row in text), strict=True):
            assert (value is None and cell == "") or value == float(cell)
