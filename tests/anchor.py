"""The anchor study's corpora, made: manifests as importers write them, and tones where asked.

The counts of ESD and PAVOQUE are those of the corpora, those of IEMOCAP's sessions as uneven as its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from sibboleth.recipes import preset

PRESET = "humans-vs-ssl"
ESD = ("neutral", "angry", "happy", "sad", "surprised")
PAVOQUE = {"angry": 601, "happy": 584, "sad": 556, "poker": 575, "neutral": 1200}
VOICES = {"angry": "spike", "happy": "poppy", "sad": "obadiah", "neutral": "prudence", "poker": "poker"}
IEMOCAP = {"angry": (229, 137, 240, 327, 170), "happy": (278, 327, 286, 303, 442), "neutral": (384, 362, 320, 258, 384)}
IEMOCAP |= {"sad": (194, 197, 305, 143, 245), "frustrated": (280, 325, 382, 481, 381)}

Row = dict[str, str]


def esd(sentences: int) -> Iterator[Row]:
    for speaker in range(1, 11):
        for place, label in enumerate(ESD):
            for sentence in range(sentences):
                name = f"{speaker:04d}_{place * sentences + sentence + 1:06d}.wav"
                yield {
                    "audio": name,
                    "speaker": f"{speaker:04d}",
                    "text": f"句子 {sentence}",
                    "emotion": label,
                    "language": "zh",
                }


def pavoque(part: float) -> Iterator[Row]:
    for label, count in PAVOQUE.items():
        for number in range(round(count * part)):
            name = f"{VOICES[label]}{number:04d}-{label}.wav"
            emotion = "" if label == "poker" else label
            yield {"audio": name, "speaker": "roettig", "text": f"Satz {number}", "emotion": emotion, "language": "de"}


def iemocap(part: float) -> Iterator[Row]:
    for label, counts in IEMOCAP.items():
        for session, count in enumerate(counts, 1):
            for number in range(round(count * part)):
                sex = "F" if number % 5 < 2 else "M"
                name = f"Ses{session:02d}{sex}_script02_{number}_{label}_{sex}021.wav"
                speaker = {"speaker": f"Ses{session:02d}{sex}", "session": f"Ses{session:02d}"}
                yield {"audio": name, **speaker, "text": f"line {number} {label}", "emotion": label, "language": "en"}


def written(folder: Path, part: float = 1.0, audio: bool = False) -> Path:
    """Write the three manifests with a part of the recordings of each, and the preset beside them; returns that."""
    made = {"esd": esd(round(350 * part)), "pavoque": pavoque(part), "iemocap": iemocap(part)}
    for number, (name, rows) in enumerate(made.items()):
        (folder / name).mkdir()
        table = pl.DataFrame(list(rows))
        table.write_csv(folder / name / "manifest.csv")
        if audio:
            tones(folder / name, table["audio"].to_list(), table["emotion"].to_list(), number)
    return preset.write(PRESET, output=folder / "study.toml")


def tones(folder: Path, names: Sequence[str], labels: Sequence[str], seed: int) -> None:
    """Write short buzzes whose pitch tells the label."""
    random = np.random.default_rng(seed)
    pitch = {label: 90 * 1.5**place for place, label in enumerate(sorted(set(labels)))}
    for name, label in zip(names, labels, strict=True):
        at = np.arange(round(16000 * random.uniform(0.3, 0.4))) / 16000
        heard = pitch[label] * random.uniform(0.95, 1.05)
        buzz = sum(np.sin(2 * np.pi * heard * harmonic * at) / harmonic for harmonic in range(1, 6))
        soundfile.write(folder / name, 0.1 * buzz + random.normal(0, 0.02, len(at)), 16000, subtype="PCM_16")
