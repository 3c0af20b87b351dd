"""A run as a table for other programs: `metaplastic export RUN --out metrics.csv`.

| table | one row | columns |
|---|---|---|
| metrics | a generation | every number of its record by path, `fitness/score/best`, curves as `metrics/curve/000` |
| genes | a generation | mean, sd, median and quantiles of each gene in the population, `rule.parameters.eta/mean` |
| champion | a gene | its value in the champion (mean, sd and count if it is many numbers), and its range |

CSV needs nothing; a file that ends in .parquet needs pyarrow. A number that is missing is an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metaplastic.core import ConfigError
from metaplastic.platform import durable
from metaplastic.platform.metrics import flatten
from metaplastic.platform.run import GENOME, RunDirectory
from metaplastic.settings import near_miss

Row = dict[str, Any]


def export(run: Path, table: str = "metrics", out: Path | None = None) -> str:
    """Write a table of a run to `out` (the ending decides: .csv or .parquet) and say so, or give it as CSV text.

    Raises:
        ConfigError: if there is no such table, it is empty, or the file cannot be written.
    """
    if table not in TABLES:
        raise ConfigError(f"table is {table!r}, wanted one of {', '.join(TABLES)}{near_miss(table, list(TABLES))}")
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"out is {out}, wanted a file that ends in .csv or .parquet")
    rows = TABLES[table](RunDirectory.open(run))
    if not rows:
        raise ConfigError(f"{run}: there is nothing for the table {table} yet; it is filled as the search goes on")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if out is None:
        return to_csv(rows, columns).rstrip("\n")
    durable.write(out, to_csv(rows, columns) if out.suffix == ".csv" else to_parquet(rows, columns))
    return f"{table}: {len(rows)} rows and {len(columns)} columns written to {out}"


def metrics(directory: RunDirectory) -> list[Row]:
    """A row a generation, without the genes."""
    return [
        flatten({name: value for name, value in record.items() if name != "genes"}, curves=True)
        for record in directory.metrics()
    ]


def genes(directory: RunDirectory) -> list[Row]:
    """A row a generation: the population's genes."""
    return [
        {"generation": record["generation"], **flatten(record["genes"], curves=True)} for record in directory.metrics()
    ]


def champion(directory: RunDirectory) -> list[Row]:
    """A row a gene: the champion's."""
    values = directory.read_json("champion.json").get("genes", {})
    ranges = {gene["name"]: gene for gene in directory.read_list(GENOME)}
    rows = []
    for name, value in values.items():
        found = value if isinstance(value, dict) else {"value": value}
        rows.append({"gene": name, **found, **{key: at for key, at in ranges.get(name, {}).items() if key != "name"}})
    return rows


TABLES: dict[str, Callable[[RunDirectory], list[Row]]] = {"metrics": metrics, "genes": genes, "champion": champion}


def to_csv(rows: list[Row], columns: list[str]) -> str:
    """A header and a line a row; numbers with all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_parquet(rows: list[Row], columns: list[str]) -> bytes:
    """The table in Parquet's format.

    Raises:
        ConfigError: without pyarrow.
    """
    try:
        import pyarrow as arrow  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed: pip install pyarrow, or let the file end in .csv"
        ) from None
    table = arrow.table({name: _column([row.get(name) for row in rows]) for name in columns})
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _column(values: list[Any]) -> list[Any]:
    """Whole numbers and fractions in one column are fractions."""
    is_mixed = any(isinstance(value, float) for value in values)
    return [float(value) if is_mixed and type(value) is int else value for value in values]
