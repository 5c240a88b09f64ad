"""Folders that stand in an object store, too; fsspec's own stores in memory and in a folder are what is used here."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sibboleth import mirrors, storage
from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.mirrors import Mirror


@pytest.fixture(params=["memory", "folder"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield f"file://{tmp_path}/bucket/runs/one"
        return
    store = fsspec.filesystem("memory")
    yield "memory://bucket/runs/one"
    store.rm("/bucket", recursive=True)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        with storage.atomic(folder / name.replace("__", "/")) as temporary:
            temporary.write_text(text)


def there(address: str) -> dict[str, str]:
    found = Mirror(Path(), address)
    return {name: (found.read(name) or b"").decode() for name in sorted(found.names())}


def test_what_is_written_is_there_at_once_and_at_last_nothing_else(address: str, tmp_path: Path) -> None:
    write(tmp_path / "a", cells__before="1")
    with mirrors.opened(tmp_path / "a", address):
        write(tmp_path / "a", cells__one="1", stale="old", states__one="running", run="2")
        write(tmp_path / "elsewhere", two="2")
        seen = there(address)
        assert json.loads(seen.pop(mirrors.LEASE))["who"].startswith("process ")
        assert seen == {"cells/one": "1", "stale": "old", "run": "2"}
        (tmp_path / "a" / "stale").unlink()
        write(tmp_path / "a", states__one="done")
    assert there(address) == {"cells/before": "1", "cells/one": "1", "states/one": "done", "run": "2"}


def test_another_machine_goes_on_with_what_is_there_and_keeps_its_own(address: str, tmp_path: Path) -> None:
    with mirrors.opened(tmp_path / "a", address):
        write(tmp_path / "a", cells__one="1", run="a")
    write(tmp_path / "b", run="b")
    with mirrors.opened(tmp_path / "b", address):
        assert (tmp_path / "b/cells/one").read_text() == "1"
        assert (tmp_path / "b/run").read_text() == "b"
        assert not list((tmp_path / "b").rglob(".*"))
    assert there(address) == {"cells/one": "1", "run": "b"}


def test_parts_of_cells_are_copied_until_the_cell_is_filled(address: str, tmp_path: Path) -> None:
    files = {f"cells__{name}": "x" for name in ("a.b.parquet", "a.b.selection.parquet", "a.b.layer-00.part.npz")}
    write(tmp_path / "a", **files, **{"cells__c.layer-01.part.npz": "x", "cells__c.parts__0-0__state.pt": "x"})
    Mirror(tmp_path / "a", address).settle()
    mirrors.fetch(Mirror(tmp_path / "b", address))
    begun = {"c.layer-01.part.npz", "state.pt"}
    assert {path.name for path in (tmp_path / "b").rglob("*.*") if path.is_file()} == {
        "a.b.parquet",
        "a.b.selection.parquet",
        *begun,
    }
    mirrors.fetch(Mirror(tmp_path / "c", address), begun=False)
    assert not begun & {path.name for path in (tmp_path / "c").rglob("*")}


def test_what_a_stopped_run_wrote_stays(address: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), mirrors.opened(tmp_path / "a", address):
        write(tmp_path / "a", cells__one="1")
        raise KeyboardInterrupt
    assert there(address) == {"cells/one": "1"}
    write(tmp_path / "a", cells__two="2")
    assert there(address) == {"cells/one": "1"}, "nobody follows it any more"


def test_one_run_at_a_time_until_its_note_is_old(address: str, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "a", address)
    now = datetime.now(UTC)
    mirror.write(mirrors.LEASE, json.dumps({"who": "process 7 on mars", "at": now.isoformat()}).encode())
    with (
        pytest.raises(SibbolethError, match=r"another run is at work in it \(process 7 on mars\)"),
        mirrors.opened(tmp_path / "a", address),
    ):
        pass
    assert mirrors.LEASE in there(address)
    for dead in (json.dumps({"who": "it", "at": (now - timedelta(minutes=6)).isoformat()}), "{", "[]", '{"at": "x"}'):
        mirror.write(mirrors.LEASE, dead.encode())
        with mirrors.opened(tmp_path / "a", address):
            write(tmp_path / "a", run="1")
        assert there(address) == {"run": "1"}


def test_a_name_that_leads_out_of_the_folder_is_never_written(tmp_path: Path) -> None:
    class Strange(Mirror):
        def names(self, under: str = "") -> dict[str, int]:
            return {"../../x": 1}

    with pytest.raises(SibbolethError, match="is no name for a file"):
        mirrors.fetch(Strange(tmp_path / "a", f"file://{tmp_path}/bucket"))
    assert not (tmp_path.parent / "x").exists()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nothing://x/y", "Protocol not known"),
        ("abfs://bucket/run", "abfs://bucket/run: cannot be reached"),
        ("bucket/run", "bucket/run: is no address of an object store"),
        ("file:///proc/nothing", ".running cannot be written"),
    ],
)
def test_a_store_that_cannot_be_reached_is_told_before_anything_is_done(
    address: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "PAUSES", ())
    with pytest.raises(SibbolethError, match=told), mirrors.opened(tmp_path / "a", address):
        raise AssertionError
    assert not (tmp_path / "a").exists()


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A store in memory that refuses to be written to as often as asked."""
    left: dict[str, Any] = {"times": 0, "error": OSError("connection reset")}
    store = type(fsspec.filesystem("memory"))
    put = store.put_file

    def put_file(self: Any, *given: Any, **more: Any) -> object:
        if left["times"]:
            left["times"] -= 1
            raise left["error"]
        return put(self, *given, **more)

    monkeypatch.setattr(store, "put_file", put_file)
    monkeypatch.setattr(mirrors, "PAUSES", (0.0, 0.0))
    return left


def test_a_store_out_of_reach_is_asked_again_and_then_it_is_told(refusing: dict[str, Any], tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}"
    with mirrors.opened(tmp_path / "a", address):
        refusing["times"] = 2
        write(tmp_path / "a", one="1")
        refusing["times"] = 3
        with pytest.raises(CannotWrite, match=r"two cannot be written; it lies on this machine.*connection reset"):
            write(tmp_path / "a", two="2")
        refusing |= {"times": 1, "error": PermissionError("not yours")}
        with pytest.raises(CannotWrite, match="not yours"):
            write(tmp_path / "a", three="3")
    assert there(address) == {"one": "1", "two": "2", "three": "3"}


def test_many_writers_see_whole_files_only(tmp_path: Path) -> None:
    """Of a folder as a store; object stores promise it themselves."""
    writing, seen = Mirror(tmp_path / "a", f"file://{tmp_path}/bucket"), []
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one").write_bytes(b"x" * 3_000_000)
    writers = [threading.Thread(target=lambda: [writing.push(["one"]) for _ in range(5)]) for _ in range(3)]
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        content = Mirror(tmp_path / "b", f"file://{tmp_path}/bucket").read("one")
        seen.append(None if content is None else len(content))
    assert set(seen) <= {None, 3_000_000} and 3_000_000 in seen
    assert [path.name for path in (tmp_path / "bucket").iterdir()] == ["one"]
