"""Files are written whole under names that others chose, and nowhere else."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import segments, storage
from sibboleth.errors import InvalidInput
from sibboleth.segments import Segments
from sibboleth.segments.table import table

NO_NAMES = {
    "up": "../../x",
    "up and down": "a/../../x",
    "here": "./x",
    "absolute": "/tmp/x",
    "nothing": "",
    "dots": "..",
    "hidden": "a/.x",
    "empty part": "a//x",
    "no character of a path": "a\0b",
    "long": "x" * 3000,
    "long in bytes": "\N{GRINNING FACE}" * 64,
}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner" / "folder"
    with pytest.raises(InvalidInput, match="is no name for a file in it; rename the utterance") as refused:
        storage.inside(folder, name)
    assert len(str(refused.value)) < 400
    made = Segments(table([("good", 0.0, 1.0, "sad", None), (name, 0.0, 1.0, "sad", None)]))
    with pytest.raises(InvalidInput):
        segments.write(made, folder, ".TextGrid")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["a", "a/b.c", "a..", "CON", "ü" * 100, "<script>", " a ", "a\\..\\b"])
def test_any_other_name_is_a_file_in_its_folder(name: str, tmp_path: Path) -> None:
    place = storage.inside(tmp_path, name)
    with storage.atomic(place) as temporary:
        temporary.write_text("x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place]


def test_segments_of_oddly_named_utterances_come_back(tmp_path: Path) -> None:
    names = ["a/b", "c..", "=cmd()", "<b>", "ü" * 90]
    rows = [(name, 0.0, 1.0, "sad", None) for name in names]
    segments.write(Segments(table(rows), dict.fromkeys(names, 1.0)), tmp_path, ".TextGrid")
    found = segments.read(tmp_path).table
    assert (
        found.select("utterance", "label")
        .sort("utterance")
        .equals(pl.DataFrame({"utterance": sorted(names), "label": ["sad"] * len(names)}))
    )
