"""`sibboleth reproduce`: settings that say what is wrong in them; the whole study on stand-ins, killed on its way."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from sibboleth.errors import InvalidInput
from sibboleth.experiment.anchor import asked
from sibboleth.recipes import listen_design, listen_simulate
from sibboleth.recipes import reproduce as recipe
from sibboleth.recipes.reproduce import reproduce


def test_corpora_that_are_missing_are_named_and_those_one_can_do_without_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "data" / "esd").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="corpora are missing") as refused:
        reproduce(corpora=tmp_path / "data", output=tmp_path / "out")
    told = [(problem.field, Path(problem.message.split(" is not")[0]).name) for problem in refused.value.problems]
    assert told == [("corpora.pavoque", "pavoque"), ("corpora.iemocap", "iemocap")]
    written = asked.read(tmp_path / "out" / "settings.toml")
    assert written.corpora.esd == tmp_path / "data" / "esd" and not written.stand_ins
    assert written.corpora.zed is None and written.corpora.dialect is None
    assert written.encoders == asked.EncoderSettings() and written.size == asked.SizeSettings()


def test_settings_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.toml").write_text("mine = 1\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"settings\.toml: is there already"):
        reproduce(corpora=tmp_path, output=tmp_path / "out")
    with pytest.raises(InvalidInput, match=r"\[mine\] unknown key"):
        reproduce(output=tmp_path / "out")
    assert (tmp_path / "out" / "settings.toml").read_text(encoding="utf-8") == "mine = 1\n"


def test_nothing_is_spoken_into_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "stand-ins" / "iemocap"
    folder.mkdir(parents=True)
    (folder / "mine.wav").write_bytes(b"")
    text = (Path(asked.__file__).parents[2] / "recipes" / "reproduce-stand-ins.toml").read_text(encoding="utf-8")
    elsewhere = text.replace('iemocap = "stand-ins/iemocap"', f'iemocap = "{folder.as_posix()}"')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.toml").write_text(elsewhere, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"iemocap: holds other files, and no stand-in is spoken there"):
        reproduce(output=tmp_path / "run")
    assert [path.name for path in folder.iterdir()] == ["mine.wav"]


def test_a_test_that_people_have_begun_stays_and_their_answers_are_not_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(listen_design, "design", lambda *_, **__: done.append("drawn"))
    monkeypatch.setattr(listen_simulate, "simulate", lambda *_, **__: done.append("simulated"))
    folders = {"esd": "a", "pavoque": "b", "iemocap": "c"}
    mine = asked.Reproduction.model_validate({"corpora": folders, "people": {"ratings": "listening/export"}})
    nobody = asked.Reproduction.model_validate({"corpora": folders})
    recipe._listen(nobody, tmp_path)
    assert done == ["drawn", "simulated"]
    (tmp_path / "listening").mkdir()
    (tmp_path / "listening" / "answers.sqlite").write_bytes(b"")
    recipe._listen(nobody, tmp_path)
    recipe._listen(mine, tmp_path)
    assert done == ["drawn", "simulated", "simulated"]


@pytest.mark.soak
def test_the_whole_study_goes_on_after_kills_and_every_claim_is_seen_on_its_page(tmp_path: Path) -> None:
    text = (Path(asked.__file__).parents[2] / "recipes" / "reproduce-stand-ins.toml").read_text(encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.toml").write_text(re.sub(r"epochs = \d+", "epochs = 1", text), encoding="utf-8")
    command = [sys.executable, "-m", "sibboleth", "reproduce", "--output", str(tmp_path / "out")]
    environment = {**os.environ, "SIBBOLETH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    for seconds in (15, 60, 150):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr
    page = (tmp_path / "out" / "overview.html").read_text(encoding="utf-8")
    _claims(tmp_path / "out", page)
    _people(tmp_path / "out", page)


def _claims(out: Path, page: str) -> None:
    claims = pl.read_parquet(out / "claims.parquet")
    assert claims["number"].to_list() == list(range(1, 15))
    verdicts = dict(claims.select("number", "verdict").iter_rows())
    assert {verdicts[number] for number in (5, 6, 9, 10, 11)} == {"as there"}
    for number, link, gave in claims.select("number", "link", "gave").iter_rows():
        assert f'id="claim-{number}"' in page and gave
        file, anchor = link.split("#")
        assert f'id="{anchor}"' in ((out / file).read_text(encoding="utf-8") if file else page)
    assert "of each emotion and language, 144 in all; 0 of them were known" in claims["gave"][4]
    told = pl.read_parquet(out / "conditions.parquet")
    counts = dict(told.group_by("condition").len().rows())
    assert counts == {"ML": 9, "TL": 12, "TLen": 6, "ZS": 18, "CL": 18, "2SFT": 12}
    assert set(told.filter(pl.col("tuned"))["clips"]) == {48}


def _people(out: Path, page: str) -> None:
    assert "The listeners are simulated." in page and "The speech is synthetic" in page
    for study in ("emotion", "segments", "dialect"):
        report = (out / study / "report.html").read_text(encoding="utf-8")
        assert "The listeners are simulated." in report and "The speech is synthetic" in report
    effects = pl.read_parquet(out / "dialect" / "people-effects.parquet")
    assert {"domain", "background", "interaction"} <= set(effects["effect"])
    items = pl.read_parquet(out / "segments" / "people-domains.parquet")
    assert items.filter(domain="zed")["items"].to_list() == [24]
