"""`sibboleth plan`: what a study would do, told without doing it."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import memory
from sibboleth.cli import main
from sibboleth.errors import InvalidInput, RefusedByAudit, SibbolethError
from sibboleth.experiment import calibration
from sibboleth.experiment import plan as planning
from sibboleth.experiment.cost import NONE, Cost, Span
from sibboleth.experiment.planned import Plan
from sibboleth.recipes.plan import plan
from sibboleth.recipes.run import run

STUDY = """
name = "noise"
domain = "language"
[[corpora]]
name = "made"
manifest = "manifest.csv"
{encoders}
[splits]
folds = 3
dev = 0.34
{splits}
[statistics]
resamples = 200
"""
LOGMEL = '[[encoders]]\nname = "logmel"\n'
ROWS = 2 * 6 * 2 * 3


def study(folder: Path, encoders: str = LOGMEL, splits: str = "", audio: bool = True, seconds: float = 0.5) -> Path:
    """Write noises of two languages by six speakers each, and a study of them."""
    random = np.random.default_rng(0)
    rows = [
        (f"{language}{speaker}{label}{take}.wav", f"{language}{speaker}", language, label, seconds)
        for language in ("aa", "bb")
        for speaker in range(6)
        for label in ("angry", "sad")
        for take in range(3)
    ]
    for name, *_ in rows if audio else ():
        soundfile.write(folder / name, random.normal(0, 0.1, int(16_000 * seconds)), 16_000)
    schema = ["audio", "speaker", "language", "emotion", "duration"]
    pl.DataFrame(rows, schema=schema, orient="row").write_csv(folder / "manifest.csv")
    path = folder / "study.toml"
    path.write_text(STUDY.format(encoders=encoders, splits=splits), encoding="utf-8")
    return path


def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine take 80 s for a second of audio, give or take a half, and be otherwise very fast."""
    monkeypatch.setattr(calibration, "encoding", lambda *_: Span(80.0, 40.0, 120.0))
    monkeypatch.setattr(calibration, "operation", lambda: Span(0.0, 0.0, 0.0))
    monkeypatch.setattr(calibration, "scoring", lambda _: (Span(0.0, 0.0, 0.0), 1))
    monkeypatch.setattr(memory, "peak", lambda: 10**9)


def shown(made: Plan, width: int = 140) -> str:
    text = io.StringIO()
    Console(width=width, file=text).print(made)
    return text.getvalue()


def everything(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_plan_counts_what_the_run_then_does_and_writes_nothing(tmp_path: Path) -> None:
    path, output = study(tmp_path), tmp_path / "run"
    before = everything(tmp_path)
    (line,) = plan(path, output=output).lines
    assert everything(tmp_path) == before
    assert (line.encoder, line.cells, line.finished, line.fits) == ("logmel", 2, 0, 12)
    assert line.forward_passes == ROWS
    assert line.hours == pytest.approx(ROWS * 0.5 / 3600)
    assert line.seconds is not None and line.seconds > 0
    run(path, output=output)
    before = everything(output)
    (line,) = plan(path, output=output).lines
    assert everything(output) == before
    assert (line.cells, line.finished, line.forward_passes, line.hours, line.disk) == (2, 2, 0, 0.0, 0)


def test_a_run_prints_the_plan_that_the_planner_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = study(tmp_path), io.StringIO()
    measured(monkeypatch)
    expected = shown(plan(path, output=tmp_path / "run"))
    monkeypatch.setattr("sibboleth.recipes.run.console", Console(width=140, file=told))
    run(path, output=tmp_path / "run")
    # The room on the disk may change between the two, and what comes before it may not.
    assert expected.partition("cache (")[0] in told.getvalue()


def test_without_audio_no_file_is_needed_and_the_counts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (heard,) = plan(study(tmp_path), output=tmp_path / "run").lines
    for file in tmp_path.glob("*.wav"):
        file.unlink()
    monkeypatch.setattr(calibration, "encoding", lambda *_: pytest.fail("an encoder was tried"))
    made = plan(tmp_path / "study.toml", output=tmp_path / "run", without_audio=True)
    (line,) = made.lines
    assert (line.cells, line.fits, line.forward_passes, line.disk) == (
        heard.cells,
        heard.fits,
        heard.forward_passes,
        heard.disk,
    )
    assert line.hours == pytest.approx(heard.hours)
    assert line.finished is None and line.seconds is None
    assert "without audio it is not known what the cache has" in " ".join(shown(made).split())
    with pytest.raises(InvalidInput, match="bad rows"):
        plan(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("columns", "told", "passes"),
    [
        ({"duration": pl.lit(90.0)}, "1.80 hours", ROWS * 3),
        ({"seconds": pl.lit("45")}, "0.90 hours", ROWS * 2),
        ({"start": pl.lit(10.0), "end": pl.lit(15.0), "duration": pl.lit(90.0)}, "0.10 hours", ROWS),
        ({}, "hours unknown", None),
        ({"duration": pl.when(pl.col("speaker") == "aa0").then(pl.lit(None)).otherwise(pl.lit(36.0))}, "known", None),
    ],
)
def test_durations_come_from_the_manifest(
    tmp_path: Path, columns: dict[str, pl.Expr], told: str, passes: int | None
) -> None:
    path = study(tmp_path, audio=False)
    table = pl.read_csv(tmp_path / "manifest.csv").drop("duration")
    table.with_columns(**columns).write_csv(tmp_path / "manifest.csv")
    made = plan(path, without_audio=True)
    assert told in made.title
    assert made.lines[0].forward_passes == passes
    assert ("no duration of 6 utterances" in made.title) == (told == "known")
    assert ("unknown" in shown(made).partition("logmel")[2].split("\n")[0].split("│")[5]) == (passes is None)


def test_one_place_under_two_names_is_one_pass(tmp_path: Path) -> None:
    path = study(tmp_path, audio=False)
    table = pl.read_csv(tmp_path / "manifest.csv").with_columns(utterance=pl.int_range(pl.len()).cast(pl.String))
    twice = table.head(1).with_columns(utterance=pl.lit("again"))
    pl.concat([table, twice]).write_csv(tmp_path / "manifest.csv")
    assert plan(path, without_audio=True).lines[0].forward_passes == ROWS


def test_a_plan_is_refused_like_the_run(tmp_path: Path) -> None:
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        plan(study(tmp_path, splits='scheme = "random-folds"', audio=False), without_audio=True)
    with pytest.raises(SibbolethError, match="at least one"):
        plan(study(tmp_path, encoders="", audio=False), without_audio=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SibbolethError, match="holds other files"):
        plan(study(tmp_path, audio=False), output=tmp_path, without_audio=True)


def test_a_checkpoint_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    fetched = []
    monkeypatch.setattr("sibboleth.models.encoders.hub.snapshot", lambda *name: fetched.append(name))
    absent = '[[encoders]]\nname = "nobody/no-such-speech-encoder@v1"\n'
    made = plan(study(tmp_path, LOGMEL + absent, audio=False), without_audio=True)
    here, elsewhere = made.lines
    assert not fetched
    assert (elsewhere.cells, elsewhere.fits, elsewhere.forward_passes) == (here.cells, here.fits, here.forward_passes)
    assert elsewhere.disk is None and elsewhere.seconds is None
    assert "not on this machine, will be fetched by the run: nobody/no-such-speech-encoder@v1" in made.notes
    assert "unknown" in shown(made)


def test_very_many_fits_are_told_how_to_be_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MANY", 10)
    advice = 'splits.scheme = "speaker-folds" needs far fewer'
    assert advice not in shown(plan(study(tmp_path, audio=False), without_audio=True))
    path = study(tmp_path, splits='scheme = "leave-one-speaker-out"', audio=False)
    assert advice in " ".join(shown(plan(path, without_audio=True)).split())


def test_the_verb_prints_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", str(study(tmp_path, audio=False)), "--without-audio", "--output", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    assert "noise: 72 utterances" in printed and "logmel" in printed and "forward" in printed
    assert not (tmp_path / "run").exists()


def test_spans_add_up_and_workers_divide_what_divides() -> None:
    """Two workers: half of the encoding, 5 + 3 beside 4 + 4 of the cells, and all of the end."""
    cells = tuple(Span(seconds, seconds / 2, 2 * seconds) for seconds in (3.0, 4.0, 5.0, 4.0))
    cost = Cost(Span.of([9.0, 12.0, 10.0]), cells, Span(1.0, 1.0, 1.0))
    assert cost.of(1) == Span(10 + 16 + 1, 9 + 8 + 1, 12 + 32 + 1)
    assert cost.of(2) == Span(5 + 8 + 1, 4.5 + 4 + 1, 6 + 16 + 1)
    assert cost.of(100).middle == pytest.approx(0.1 + 5 + 1)
    assert [cost.of(n + 1).middle <= cost.of(n).middle for n in range(1, 12)] == [True] * 11
    assert cost.enough == 3
    assert Cost(NONE, (), NONE).of(8) == NONE and Cost(NONE, (), NONE).enough == 1


def test_a_plan_tells_the_time_for_one_worker_and_many_with_the_spread_of_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch)
    made = plan(study(tmp_path), output=tmp_path / "run", workers=4)
    seconds = ROWS * 0.5 * 80
    (line,) = made.lines
    assert line.encoding == Span(seconds, seconds / 2, 1.5 * seconds)
    assert made.cost is not None and made.cost.of(4).middle == pytest.approx(seconds / 4 + 10)
    text = " ".join(shown(made).split())
    assert "one worker: about 48 min (24 min to 72 min by what was measured): encoding 48 min" in text
    assert "4 workers, each as fast as this process: about 12 min (6 min to 18 min" in text
    assert "4.0 times as fast; scoring and report do not divide" in text
    assert made.expected()["encoding"] == {"logmel": seconds}
    assert len(made.expected()["cells"]) == 2 and made.expected()["finish"] == 10.0
    with pytest.raises(SibbolethError, match="--workers 0: give 1 or more"):
        plan(tmp_path / "study.toml", workers=0)


def test_memory_is_told_and_follows_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch)
    path = study(tmp_path, '[[encoders]]\nname = "untrained:tiny-wavlm"\n')
    (free,) = plan(path, output=tmp_path / "run").lines
    monkeypatch.setenv(memory.ENVIRONMENT, "64MiB")
    limited = plan(path, output=tmp_path / "run")
    assert free.memory is not None and limited.lines[0].memory is not None
    assert 10**9 < limited.lines[0].memory < free.memory
    assert "SIBBOLETH_MEMORY bounds what is held" in " ".join(shown(limited).split())


def test_a_calibration_measures_what_is_asked_of_it() -> None:
    from sibboleth.models.encoders import load
    from sibboleth.study import EncoderSettings

    span = calibration.encoding(load(EncoderSettings(name="untrained:tiny-wav2vec2")), 1.0)
    assert span is not None and 0 < span.low <= span.middle <= span.high
    rounds: list[int] = []
    assert calibration.measured(lambda: rounds.append(0), per=2.0).low >= 0
    assert calibration.LEAST_ROUNDS <= len(rounds) <= calibration.ROUNDS
