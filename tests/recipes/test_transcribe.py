"""`sibboleth transcribe`: audio or a manifest through a recogniser as it is, to what `sibboleth score` reads."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
import transformers
from rich.console import Console

from sibboleth import storage
from sibboleth.errors import InvalidInput
from sibboleth.models.encoders.untrained import architectures
from sibboleth.models.recognition.ctc import Ctc
from sibboleth.recipes.score import score
from sibboleth.recipes.transcribe import transcribe

RATE = 16_000
CHARACTERS = ["<pad>", "<unk>", "|", *"abcdefghij"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    options = {**architectures()["tiny-wav2vec2"]["config"], "vocab_size": len(CHARACTERS), "pad_token_id": 0}
    del options["model_type"]
    torch.manual_seed(3)
    made: Any = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**options))
    with torch.no_grad():
        made.lm_head.weight.mul_(30.0)
    made.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    words = {word: index for index, word in enumerate(CHARACTERS)}
    (folder / "vocab.json").write_text(json.dumps(words))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), bos_token=None, eos_token=None)
    tokenizer.save_pretrained(folder)
    return str(folder)


def sound(path: Path, seed: int, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shape = np.repeat(rng.uniform(0.02, 0.4, 20), int(seconds * RATE) // 20)
    soundfile.write(path, shape * rng.standard_normal(len(shape)), RATE)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = ["utterance,audio,speaker,accent,age,text"]
    for index in range(12):
        sound(tmp_path / "audio" / f"{index}.wav", index)
        accent = ("Flemish", "Dutch")[index % 2]
        rows.append(f"u{index},audio/{index}.wav,s{index % 6},{accent},{20 + index},de kat zit")
    (tmp_path / "audio" / "11.wav").write_bytes(b"no sound")
    file = tmp_path / "manifest.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def text(shown: object) -> str:
    console = Console(width=300, record=True)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_a_manifest_becomes_what_score_takes_at_once(model: str, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "transcripts.csv"
    done = transcribe(model, (manifest,), output=output)
    written = pl.read_csv(output)
    assert written.columns == ["utterance", "hypothesis", "reference", "speaker", "accent", "age"]
    assert written["utterance"].to_list() == [f"u{k}" for k in range(11)]
    assert written["reference"].unique().to_list() == ["de kat zit"]
    assert done.transcribed == 11
    assert done.excluded["utterance"].to_list() == ["u11"]
    shown = text(done)
    assert "left out: u11" in shown and "sibboleth score" in shown and "trained with labels" in shown
    scored = score((output,), by=("accent",), resamples=100)
    assert (scored.target.kind, scored.target.name) == ("transcription", "text")
    wer = scored.scores.filter(metric="wer")
    assert {"all", "accent=Flemish", "accent=Dutch"} <= set(wer["slice"])
    assert wer.filter(slice="all")["n"].item() == 11


def test_files_and_folders_give_the_same_texts_in_any_company(
    model: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = dict(transcribe(model, (manifest,)).table.select("utterance", "hypothesis").rows())
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "other"))
    folder = transcribe(model, (tmp_path / "audio",)).table
    assert folder.columns == ["utterance", "hypothesis"]
    assert {f"u{name}": said for name, said in folder.rows()} == expected
    alone = transcribe(model, (tmp_path / "audio" / "3.wav",))
    assert alone.table["hypothesis"].to_list() == [expected["u3"]] and alone.transcribed == 0


def test_segments_and_repeats_of_the_same_audio(model: str, tmp_path: Path) -> None:
    sound(tmp_path / "long.wav", 0, 4.0)
    sound(tmp_path / "copy.wav", 0, 4.0)
    file = tmp_path / "manifest.csv"
    file.write_text("utterance,audio,start,end\na,long.wav,0,1.5\nb,long.wav,1.5,4\nc,copy.wav,0,1.5\n")
    done = transcribe(model, (file,))
    first, second, third = done.table["hypothesis"]
    assert first == third != second
    assert done.transcribed == 2


def test_what_cannot_be_is_refused_with_what_to_do(model: str, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\.csv"):
        transcribe(model, (manifest,), output=tmp_path / "transcripts.txt")
    with pytest.raises(InvalidInput, match="no audio can be transcribed"):
        transcribe(model, (tmp_path / "audio" / "11.wav",))
    with pytest.raises(InvalidInput, match="no such audio"):
        transcribe(model, (tmp_path / "nowhere",))
    with pytest.raises(InvalidInput, match="leave --columns out"):
        transcribe(model, (tmp_path / "audio",), columns={"text": "sentence"})
    for taken, header in (("hypothesis", "audio,hypothesis"), ("reference", "audio,reference,text")):
        other = tmp_path / f"{taken}.csv"
        other.write_text(f"{header}\naudio/0.wav,x,y\n" if header.count(",") > 1 else f"{header}\naudio/0.wav,x\n")
        with pytest.raises(InvalidInput, match=f"column '{taken}'.*rename"):
            transcribe(model, (other,))


def test_other_names_of_columns_and_missing_texts(model: str, manifest: Path, tmp_path: Path) -> None:
    other = tmp_path / "validated.tsv"
    other.write_text("path\tclient_id\tsentence\naudio/0.wav\ts\tde kat\naudio/1.wav\ts\t\n")
    done = transcribe(model, (other,), columns={"audio": "path", "speaker": "client_id", "text": "sentence"})
    assert done.table["reference"].to_list() == ["de kat", None]
    assert any(note.startswith("1 utterances have no text") for note in done.notes)


class Stopped(Exception):
    """Somebody pulls the plug."""


def test_what_was_transcribed_before_a_stop_is_not_transcribed_again(
    model: str, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Ctc.transcripts
    asked: list[int] = []

    def stopping(self: Ctc, recordings: Any) -> Iterator[Any]:
        asked.append(len(recordings))
        for index, one in enumerate(original(self, recordings)):
            if index == 4 and len(asked) == 1:
                raise Stopped
            yield one

    monkeypatch.setattr(Ctc, "transcripts", stopping)
    with pytest.raises(Stopped):
        transcribe(model, (manifest,))
    (kept,) = (storage.folder() / "transcripts").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-20])  # the last line was being written
    done = transcribe(model, (manifest,))
    assert asked == [11, 8] and done.transcribed == 8
    again = transcribe(model, (manifest,))
    assert asked == [11, 8, 0] and again.transcribed == 0
    assert again.table.equals(done.table)


def test_killed_and_gone_on(model: str, tmp_path: Path) -> None:
    for index in range(60):
        sound(tmp_path / "audio" / f"{index}.wav", index, 2.0)
    command = [sys.executable, "-m", "sibboleth", "transcribe", model, str(tmp_path / "audio")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = storage.folder() / "transcripts"
    deadline = time.monotonic() + 120
    while process.poll() is None and not any(file.stat().st_size > 200 for file in kept.glob("*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    (file,) = kept.iterdir()
    there = sum(line.endswith(b"}") for line in file.read_bytes().splitlines())
    done = transcribe(model, (tmp_path / "audio",))
    assert 0 < there < 60
    assert done.transcribed == 60 - there
    file.unlink()
    assert transcribe(model, (tmp_path / "audio",)).table.equals(done.table)


def test_audio_that_changes_behind_the_scan_is_not_filed_under_what_it_was(
    model: str, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Ctc.transcripts

    def changing(self: Ctc, recordings: Any) -> Iterator[Any]:
        sound(manifest.parent / "audio" / "2.wav", 99)
        yield from original(self, recordings)

    monkeypatch.setattr(Ctc, "transcripts", changing)
    done = transcribe(model, (manifest,))
    reasons = dict(done.excluded.select("utterance", "reason").rows())
    assert set(reasons) == {"u2", "u11"} and "changed meanwhile" in reasons["u2"]
