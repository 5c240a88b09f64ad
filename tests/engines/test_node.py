"""What processes on the nodes of a cluster do, without a cluster: `tests/faults/test_ray.py` has that."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.recipes.test_run import tones

from sibboleth import audio, corpus, mirrors
from sibboleth.engines import node, ray
from sibboleth.errors import SibbolethError
from sibboleth.experiment import record
from sibboleth.models import threads
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import load
from sibboleth.models.encoding import Recording
from sibboleth.models.features import extract, missing
from sibboleth.runs import write_text
from sibboleth.study import EncoderSettings

MARK = ".part-seen-x"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> node.Place:
    """A place that this process sees; what working there changes is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIBBOLETH_CACHE", "unknown")
    for name in ("cache", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MARK).touch()
    return node.Place(tmp_path, tmp_path / "cache", tmp_path / "run", MARK, threads.count())


def test_a_node_says_what_it_does_not_see_and_what_differs(place: node.Place) -> None:
    versions = record.versions()
    assert node.look(place, [], versions) == []
    (place.cache / MARK).unlink()  # a folder of that name on a disk of its own
    told = node.look(place, [Path("gone.wav")], {**versions, "numpy": "0.1"})
    assert len(told) == 3
    assert f"does not see {place.cache}" in told[0] and "does not see gone.wav" in told[1]
    assert f"has numpy {versions['numpy']}, and the run has 0.1" in told[2]
    with pytest.raises(SibbolethError, match="which must be shared by all nodes"):
        place.enter()


def test_a_node_that_has_an_object_store_needs_no_folder_of_others(
    place: node.Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [f"file://{tmp_path}/bucket/{name}" for name in ("cache", "run")]
    elsewhere = tmp_path / "own", tmp_path / "own/run"
    there = replace(place, cache=elsewhere[0], directory=elsewhere[1], cache_store=addresses[0], run_store=addresses[1])
    assert [line.split("does not see ")[1] for line in node.look(there, [], record.versions())] == addresses
    for address in addresses:
        mirrors.Mirror(tmp_path, address).write(MARK, b"")
    assert node.look(there, [], record.versions()) == []
    mirrors.Mirror(tmp_path, addresses[1]).write("cells/known.parquet", b"known")
    there.enter()
    assert os.environ["SIBBOLETH_CACHE"] == addresses[0] and Cache().address == addresses[0]
    mirrors.Mirror(tmp_path, addresses[1]).write("cells/other.layer-00.part.npz", b"of another")
    with there.filling("cells/known.parquet"):
        assert not (there.directory / "cells/other.layer-00.part.npz").exists()
        assert (there.directory / "cells/known.parquet").read_bytes() == b"known"
        write_text(there.directory / "cells/new.json", "new")
    assert (tmp_path / "bucket/run/cells/new.json").read_text() == "new"
    nowhere = replace(there, run_store="s4://bucket")
    (told,) = node.look(nowhere, [], record.versions())
    assert "s4://bucket: cannot be reached" in told


def test_a_node_with_another_encoder_under_the_name_is_refused(place: node.Place) -> None:
    settings = EncoderSettings(name="logmel")
    assert node.loaded(settings, load(settings).identity).name == "logmel"
    with pytest.raises(SibbolethError, match="has other weights, settings or code under this name"):
        node.loaded(settings, "0" * 64)


def test_blocks_fill_the_cache_as_one_process_does(place: node.Place, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    tones(tmp_path, speakers=2, each=2)
    table = corpus.read(tmp_path / "manifest.csv").table
    scan = audio.scan(table)
    settings = EncoderSettings(name="logmel")
    encoder, cache, alone = load(settings), Cache(place.cache), Cache(tmp_path / "alone")
    left = missing(encoder, table, scan, cache)
    assert len(left) == 16
    asked = node.Encoders(place, settings, encoder.identity, (), 1, 1, 0)
    encoding = node.Encoding(asked)
    for block in (pyarrow.Table.from_pylist([vars(one) for one in some]) for some in (left[:10], left[10:])):
        assert encoding(block).to_pylist() == [{"reason": None, "fatal": False}]
    assert missing(encoder, table, scan, cache) == []
    here, there = extract(encoder, table, scan, alone), extract(encoder, table, scan, cache)
    assert there.encoded == 0 and (here.matrix(0) == there.matrix(0)).all()
    broken = node.Encoding(node.Encoders(place, settings, "0" * 64, (), 1, 1, 0))
    (told,) = broken(block).to_pylist()
    assert "other weights" in told["reason"] and told["fatal"] is False


def test_blocks_are_what_a_shard_holds_in_the_order_of_the_manifest() -> None:
    pytest.importorskip("pyarrow")
    short = [Recording(f"{k:03d}", "x.wav", None, None, 1.0) for k in range(150)]
    long = [Recording("long", "y.wav", 0.5, 400.5, 400.0)]
    blocks = ray._blocks([*short[:70], *long, *short[70:]], 1)
    assert [len(block) for block in blocks] == [64, 7, 64, 16]
    digests = [digest for block in blocks for digest in block["digest"].to_pylist()]
    assert digests == [one.digest for one in (*short[:70], *long, *short[70:])]
    assert blocks[1].to_pylist()[-1] == vars(long[0])
