"""Unlabelled speech: nested, the same for all workers, of voices that no test uses, and in many manners."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth.corpora.synthetic import plan, unlabelled
from sibboleth.corpora.synthetic.unlabelled import HIGH, LOW, SPEAKERS, VOICES, WOMEN, Reading
from sibboleth.errors import SibbolethError

loader = pytest.importorskip("espeakng_loader")

RATE = 16_000
READING = Reading(languages=("en", "zh"), hours=0.008, seed=3)


def files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*.flac"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    root = tmp_path_factory.mktemp("speech")
    return root, unlabelled.prepare(root, READING, workers=1).table


def test_the_hours_are_full_and_not_one_utterance_more_is_there(made: tuple[Path, pl.DataFrame]) -> None:
    root, table = made
    assert set(table["audio"]) == {str(file) for file in root.rglob("*") if file.suffix == ".flac"}
    assert [path.name for path in root.iterdir() if path.name != "audio"] == ["reading.json"]
    for language in READING.languages:
        lengths = [soundfile.info(file).duration for file in table.filter(pl.col("language") == language)["audio"]]
        assert sum(lengths) >= 3600 * READING.hours > sum(lengths[:-1])


def test_files_are_what_is_promised_and_the_table_says_what_is_known(made: tuple[Path, pl.DataFrame]) -> None:
    root, table = made
    for row in table.iter_rows(named=True):
        assert Path(row["audio"]) == root / "audio" / row["language"] / f"{row['utterance']}.flac"
        info = soundfile.info(row["audio"])
        assert (info.samplerate, info.channels, info.subtype, info.format) == (RATE, 1, "PCM_16", "FLAC")
        samples = soundfile.read(row["audio"])[0]
        assert 1.0 < len(samples) / RATE < 25
        assert -55 < 10 * np.log10(np.mean(samples**2)) < -10
        assert 0.01 < np.abs(samples).max() < 0.999
    assert table["utterance"].is_unique().all()
    assert table["synthetic"].str.starts_with("espeak-ng").all()
    assert table["sex"].is_in(["female", "male"]).all()
    assert " " in table.filter(pl.col("language") == "en")["text"][0]
    assert not table.filter(pl.col("language") == "zh")["text"].str.contains(" ").any()


def test_a_shorter_reading_is_the_beginning_of_a_longer_one_with_any_number_of_workers(
    made: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    root, table = made
    shorter = READING.model_copy(update={"hours": 0.004, "languages": ("zh",)})
    own = unlabelled.prepare(tmp_path, shorter, workers=2).table
    longer = table.filter(pl.col("language") == "zh")
    assert 1 <= len(own) < len(longer)
    assert own.drop("audio").equals(longer.head(len(own)).drop("audio"))
    for name, content in files(tmp_path).items():
        assert (root / name).read_bytes() == content


def test_another_seed_says_something_else(made: tuple[Path, pl.DataFrame]) -> None:
    one, other = (unlabelled.utterance(Reading(seed=seed), "en", 1) for seed in (3, 4))
    assert one.text == made[1]["text"][0] != other.text
    assert one.speaker != other.speaker


def test_it_goes_on_after_a_kill_and_mends_what_is_missing(made: tuple[Path, pl.DataFrame], tmp_path: Path) -> None:
    root, table = made
    program = f"""
import os, signal
from pathlib import Path
from sibboleth.corpora.synthetic import unlabelled
unlabelled.track = lambda minutes, *_: (os.kill(os.getpid(), signal.SIGKILL) for _ in minutes)
reading = unlabelled.Reading.model_validate_json({READING.model_dump_json()!r})
unlabelled.prepare(Path({str(tmp_path)!r}), reading, workers=1)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode != 0
    begun = files(tmp_path)
    assert 0 < len(begun) < len(table)
    (tmp_path / next(iter(begun))).unlink()
    (tmp_path / "audio" / "en" / ".part-leftover").write_bytes(b"half")
    again = unlabelled.prepare(tmp_path, READING, workers=1).table
    assert files(tmp_path) == files(root)
    assert again.drop("audio").equals(table.drop("audio"))
    assert not list((tmp_path / "audio").rglob(".part-*"))


def test_a_full_folder_is_left_as_it_is(made: tuple[Path, pl.DataFrame]) -> None:
    root, table = made
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.flac")}
    assert unlabelled.prepare(root, READING).table.equals(table)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*.flac")} == before


def test_a_folder_of_another_making_is_refused(made: tuple[Path, pl.DataFrame], tmp_path: Path) -> None:
    root, _ = made
    for change in ({"hours": 0.03}, {"languages": ("en",)}):
        with pytest.raises(SibbolethError, match="another reading"):
            unlabelled.prepare(root, READING.model_copy(update=change))
    (tmp_path / "audio").mkdir()
    with pytest.raises(SibbolethError, match=r"no reading\.json"):
        unlabelled.prepare(tmp_path, READING)
    for broken in ("{", "[]"):
        (tmp_path / "reading.json").write_text(broken)
        with pytest.raises(SibbolethError, match="choose an empty folder"):
            unlabelled.prepare(tmp_path, READING)
    assert json.loads((root / "reading.json").read_text())["reading"] == READING.model_dump(mode="json")


@pytest.mark.parametrize(
    "values", [{"languages": []}, {"languages": ["en", "en"]}, {"languages": ["xx"]}, {"hours": 0}, {"hours": np.inf}]
)
def test_a_reading_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="languages|hours"):
        Reading.model_validate(values)


def formants(variant: str) -> frozenset[tuple[str, ...]]:
    """Number and frequency of each formant of a variant."""
    text = (Path(loader.get_data_path()) / "voices" / "!v" / variant).read_text(errors="ignore")
    return frozenset(tuple(line.split()[1:3]) for line in text.splitlines() if line.startswith("formant"))


def test_no_voice_of_the_controlled_corpus_occurs_not_even_under_another_name() -> None:
    controlled = {*plan.WOMEN, *plan.MEN}
    own = {*WOMEN, *HIGH, *LOW}
    assert len(own) == len(WOMEN) + len(HIGH) + len(LOW) > 40
    assert not own & controlled
    assert not {formants(variant) for variant in own} & {formants(variant) for variant in controlled}
    said = {unlabelled.speaker(READING, language, n).voice for language in VOICES for n in range(SPEAKERS)}
    assert {voice.split("+")[1] for voice in said} == own
    assert {voice.split("+")[0] for voice in said} == {voice for voices in VOICES.values() for voice in voices}


def test_speakers_differ_and_women_are_higher() -> None:
    people = [unlabelled.speaker(READING, "nl", number) for number in range(SPEAKERS)]
    women = [one for one in people if one.sex == "female"]
    assert len(women) == SPEAKERS / 2
    assert len({(one.voice, one.factor, one.pitch) for one in people}) == len({one.name for one in people}) == SPEAKERS
    assert all(0.85 <= one.factor <= 1.2 for one in people)

    def heard(sex: str) -> list[float]:
        """Hz of the speakers' middle pitch."""
        base = WOMEN | HIGH | LOW
        return [base[one.voice.split("+")[1]] * one.factor * 2 ** (one.pitch / 12) for one in people if one.sex == sex]

    assert 170 < np.median(heard("female")) < 210
    assert 95 < np.median(heard("male")) < 125


def test_manners_vary_as_widely_as_emotions_do() -> None:
    from sibboleth.corpora.synthetic.emotion import CUES, MEANS, PROSODY

    means = np.array(list(MEANS.values()))
    total = np.array([cue.spread for cue in CUES[:PROSODY]]) * np.sqrt(1 + means.var(axis=0))
    own = np.array(list(unlabelled.SPREADS.values())[:PROSODY])
    assert np.all(np.abs(own / total - 1) < 0.25)
    utterances = [unlabelled.utterance(READING, "en", 1 + SPEAKERS * turn) for turn in range(300)]
    assert {one.speaker for one in utterances} == {utterances[0].speaker}
    scripts = [unlabelled.script(READING, one, Path("x.flac")) for one in utterances]
    assert np.std([script.level for script in scripts]) == pytest.approx(unlabelled.SPREADS["loudness"], rel=0.15)
    rates = np.log2([script.speed for script in scripts])
    assert np.std(rates) == pytest.approx(unlabelled.SPREADS["rate"], rel=0.15)
    middles = [np.mean(script.pitches) / plan.SEMITONE for script in scripts]
    assert np.std(middles) == pytest.approx(unlabelled.SPREADS["pitch"], rel=0.25)
    assert abs(np.corrcoef(rates, middles)[0, 1]) < 0.2


def test_every_voice_says_the_same_again_whatever_was_said_before(tmp_path: Path) -> None:
    from dataclasses import replace

    from sibboleth.corpora.synthetic import worker

    one = replace(unlabelled.utterance(READING, "en", 1), words=("Fish!",))
    script = unlabelled.script(READING, one, tmp_path / "a.flac")
    for variant in (*WOMEN, *HIGH, *LOW):
        said = []
        for _ in range(2):
            worker.perform(replace(script, voice=f"gmw/en+{variant}"))
            said.append((tmp_path / "a.flac").read_bytes())
        assert said[0] == said[1], variant


def test_a_shorter_vocal_tract_moves_the_whole_spectrum(tmp_path: Path) -> None:
    from dataclasses import replace

    from sibboleth.corpora.synthetic import worker

    one = unlabelled.utterance(READING, "en", 2)
    script = replace(unlabelled.script(READING, one, tmp_path / "a.flac"), factor=1.0, tilt=0.0, colour=(0.0, 0.0))
    centres, lengths = [], []
    for factor in (1.0, 1.2):
        segments = worker.perform(replace(script, factor=factor))
        samples = soundfile.read(script.audio)[0]
        power = np.abs(np.fft.rfft(samples)) ** 2
        frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
        low = frequency < 3000 * factor
        centres.append(np.sum(power[low] * frequency[low]) / np.sum(power[low]))
        lengths.append(len(samples) / RATE - 0.1)
        assert segments[-1].end <= len(samples) / RATE
        assert max(segment.end for segment in segments) > 0.7 * len(samples) / RATE
    assert centres[1] / centres[0] == pytest.approx(1.2, rel=0.02)
    assert lengths[0] / lengths[1] == pytest.approx(1.2, rel=0.01)
