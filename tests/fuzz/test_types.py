"""Columns of Parquet files of any type: read, or refused with a reason."""

import datetime
import decimal
import io
from pathlib import Path

import polars as pl
import pytest
from tests.fuzz.parsers import PARSERS, laid_out

DAY = datetime.datetime(2020, 1, 1)  # noqa: DTZ001
TYPES = {
    "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    "binary": pl.Series([b"\xff", b"b"]),
    "bool": pl.Series([True, False]),
    "categorical": pl.Series(["a", "b"], dtype=pl.Categorical),
    "date": pl.Series([DAY.date(), None]),
    "datetime": pl.Series([DAY, None]),
    "decimal": pl.Series([decimal.Decimal("1.5"), None]),
    "duration": pl.Series([datetime.timedelta(1), None]),
    "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
    "int128": pl.Series([2**100, None], dtype=pl.Int128),
    "list": pl.Series([[1.0], [2.0, None]]),
    "list of lists": pl.Series([[["a"]], [["b"]]]),
    "nan": pl.Series([float("nan"), float("inf")]),
    "negative": pl.Series([-1, -2]),
    "null": pl.Series([None, None]),
    "struct": pl.Series([{"x": 1}, {"x": None}]),
    "time": pl.Series([datetime.time(1), None]),
    "unsigned": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
    "zoned": pl.Series([DAY, None], dtype=pl.Datetime("us", "UTC")),
}


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in PARSERS if name.endswith("parquet")])
@pytest.mark.parametrize("kind", TYPES)
def test_a_column_of_any_type_is_read_or_told(name: str, kind: str, tmp_path: Path) -> None:
    table, folder = pl.read_parquet(io.BytesIO(PARSERS[name].seeds[0])), laid_out(tmp_path / "in")
    for column in table.columns:
        file = io.BytesIO()
        table.with_columns(TYPES[kind].alias(column)).write_parquet(file)
        PARSERS[name](file.getvalue(), folder)
