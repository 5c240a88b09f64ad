"""Claims: who is encoding what, and what becomes of the claims of the dead and of the stuck."""

import errno
from pathlib import Path

import pytest

from sibboleth import storage
from sibboleth.models import claims


def test_what_others_claimed_is_seen_until_they_let_it_go(tmp_path: Path) -> None:
    with claims.deciding(tmp_path):
        mine = claims.claim(tmp_path, ["x", "y"])
        (holder,) = claims.others(tmp_path)
    assert holder.digests == {"x", "y"}
    assert holder.who.startswith("process ")
    mine.release()
    with claims.deciding(tmp_path):
        assert claims.others(tmp_path) == []
    assert not list(tmp_path.glob(f"{claims.PREFIX}*"))


def test_the_claim_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{claims.PREFIX}dead").write_text('{"who": "process 1 on mars", "digests": ["x"]}')
    with claims.deciding(tmp_path):
        assert claims.others(tmp_path) == []
    assert not list(tmp_path.glob(f"{claims.PREFIX}*"))


def test_a_process_that_makes_no_progress_is_not_waited_for(tmp_path: Path) -> None:
    with claims.deciding(tmp_path):
        stuck = claims.claim(tmp_path, ["x"])
        storage.os.utime(stuck.guard.path, (0, 0))
        assert claims.others(tmp_path) == []
        assert stuck.guard.path.exists()
        stuck.progress()
        assert len(claims.others(tmp_path)) == 1
    stuck.release()


def test_without_locks_nobody_waits_for_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(storage.fcntl, "flock", no_locks)
    with claims.deciding(tmp_path):
        one = claims.claim(tmp_path, ["x"])
        assert claims.others(tmp_path) == []
    one.release()
    with storage.atomic(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        storage.sweep(tmp_path)
    assert (tmp_path / "file").read_text() == "whole"
