"""`sibboleth eer`: voices told apart by cosine, layer by layer."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console
from sklearn.metrics import roc_curve

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.recipes.eer import eer
from sibboleth.recipes.encode import encode

OWN = """
import numpy as np
def own(audio, rate):
    audio = np.pad(audio, (0, max(0, 400 - len(audio))))
    bands = np.abs(np.fft.rfft(audio[: len(audio) // 400 * 400].reshape(-1, 400)))[:, 2:40]
    return np.log(bands + 1e-3)[None].astype(np.float32)
"""


def write(folder: Path, speakers: int, each: int, seed: int = 0) -> Path:
    """Voices that differ by their pitch and their spectrum, and noise."""
    rng = np.random.default_rng(seed)
    lines = ["utterance,audio,speaker,accent"]
    for speaker in range(speakers):
        pitch, slope = rng.uniform(90, 260), rng.uniform(0.4, 2.0)
        for take in range(each):
            time = np.arange(int(8000 * rng.uniform(0.4, 0.6))) / 16_000
            voice = sum(np.sin(2 * np.pi * pitch * rng.uniform(0.93, 1.07) * h * time) / h**slope for h in range(1, 12))
            name = f"{speaker}-{take}.wav"
            soundfile.write(folder / name, 0.1 * voice + rng.normal(0, 0.02, len(time)), 16_000)
            lines.append(f"u{speaker}-{take},{name},s{speaker},{'ab'[speaker % 2]}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    (folder / "own.py").write_text(OWN)
    return manifest


def text(shown: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_every_layer_has_the_rate_of_all_its_pairs(tmp_path: Path) -> None:
    manifest = write(tmp_path, 5, 4)
    found = eer("untrained:tiny-hubert", manifest, seed=1, folder=tmp_path / "cache")
    assert (found.genuine, found.impostor, found.utterances, found.speakers) == (30, 160, 20, 5)
    encode("untrained:tiny-hubert", manifest, seed=1, folder=tmp_path / "cache", output=tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as written:
        means, names = written["mean"], written["utterance"].tolist()
    who = np.array([name.split("-")[0] for name in names])
    first, second = np.triu_indices(len(names), 1)
    same = who[first] == who[second]
    for layer in range(means.shape[1]):
        for scoring, some in (("raw", means[:, layer]), ("centred", means[:, layer] - means[:, layer].mean(0))):
            unit = some / np.linalg.norm(some, axis=1, keepdims=True)
            false, true, _ = roc_curve(same, (unit @ unit.T)[first, second], drop_intermediate=False)
            nearest = np.abs(1 - true - false).argmin()
            row = found.rates.row(by_predicate=(pl.col("layer") == layer) & (pl.col("scoring") == scoring), named=True)
            bounds = sorted((1 - true[nearest], false[nearest]))
            assert bounds[0] - 1 / 30 <= row["eer"] <= bounds[1] + 1 / 30
            assert row["low"] <= row["eer"] <= row["high"]
    layer, rate = found.best
    assert rate == found.rates.filter(scoring="centred")["eer"].min() and layer in range(5)
    shown = text(found)
    assert "30 genuine and 160 impostor trials of 20 utterances by 5 speakers" in shown and "centred" in shown


def test_names_and_order_change_nothing(tmp_path: Path) -> None:
    manifest = write(tmp_path, 6, 4)
    rows = manifest.read_text().splitlines()
    renamed = [row.replace("u", "x", 1).replace(",s", f",{chr(122 - int(row[1]))}", 1) for row in rows[1:]]
    other = tmp_path / "other.csv"
    other.write_text("\n".join([rows[0], *renamed[::-1]]) + "\n")
    name = f"python:{tmp_path / 'own.py'}:own"
    for trials in (20_000_000, 60):
        a, b = (eer(name, file, trials=trials, folder=tmp_path / "cache") for file in (manifest, other))
        assert a.rates.equals(b.rates) and (a.genuine, a.impostor) == (b.genuine, b.impostor)
    assert a.genuine + a.impostor <= 60 and "utterances were drawn" in text(a)


def test_utterance_encoders_have_one_layer_and_tell_voices_apart(tmp_path: Path) -> None:
    found = eer(f"python:{tmp_path / 'own.py'}:own", write(tmp_path, 8, 5), folder=tmp_path / "cache")
    assert found.rates["layer"].to_list() == [0, 0] and found.rates["scoring"].to_list() == ["centred", "raw"]
    centred = found.rates.row(0, named=True)
    assert centred["high"] < 0.45


def test_of_an_accent_only_pairs_of_different_speakers_are_trials(tmp_path: Path) -> None:
    found = eer("logmel", write(tmp_path, 6, 3), column="accent", folder=tmp_path / "cache")
    assert (found.genuine, found.impostor) == (2 * 3 * 9, 9 * 9)


def test_copies_and_single_utterances_are_said(tmp_path: Path) -> None:
    manifest = write(tmp_path, 4, 3)
    rows = manifest.read_text().splitlines()
    rows += ["copy,0-0.wav,s0,a", "gone,0-1.wav,s0,"]
    manifest.write_text("\n".join(row for row in rows if not row.startswith(("u3-1", "u3-2"))) + "\n")
    found = eer("logmel", manifest, folder=tmp_path / "cache")
    assert (found.utterances, found.genuine) == (10, 9)
    shown = " ".join(text(found).split())
    assert "2 utterances with the same audio as another" in shown and "1 speakers have one utterance" in shown
    found = eer("logmel", manifest, column="accent", folder=tmp_path / "cache")
    assert found.utterances == 10 and "1 utterances whose accent is unknown" in text(found)


def test_what_cannot_be_verified_is_said_with_a_way_out(tmp_path: Path) -> None:
    manifest = write(tmp_path, 2, 2)
    rows = manifest.read_text().splitlines()
    cases = {
        "two at least": rows[:3],
        "no speaker has two different utterances": [rows[0], rows[1], rows[3]],
        "one speaker only": [*rows[:3], rows[3].replace("1-0.wav", "silent.wav")],
    }
    soundfile.write(tmp_path / "silent.wav", np.zeros(9000), 16_000)
    for said, lines in cases.items():
        manifest.write_text("\n".join(lines) + "\n")
        with pytest.raises(InvalidInput, match=said):
            eer("logmel", manifest, folder=tmp_path / "cache")
    manifest.write_text("\n".join(rows) + "\n")
    with pytest.raises(InvalidInput, match="no column 'dialekt' to verify; there are"):
        eer("logmel", manifest, column="dialekt", folder=tmp_path / "cache")
    with pytest.raises(InvalidInput, match="no two speakers have the same 'accent'"):
        eer("logmel", manifest, column="accent", folder=tmp_path / "cache")
    with pytest.raises(SibbolethError, match="give 10 or more"):
        eer("logmel", manifest, trials=1, folder=tmp_path / "cache")


def test_real_voices_are_told_apart_better_than_chance(real_speech: Path, tmp_path: Path) -> None:
    files = sorted((real_speech / "emodb").rglob("*.flac"))[::6]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("audio,speaker\n" + "".join(f"{file},{file.name[:2]}\n" for file in files))
    found = eer("logmel", manifest, folder=tmp_path / "cache")
    assert found.best[1] < 0.45
