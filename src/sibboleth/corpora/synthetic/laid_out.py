"""Utterances of the controlled corpus laid out as corpora are published; `stand_ins` says which, and why.

They come as tables with the columns of a corpus, `emotion`, `sex`, and the speaker's `place`, from 0. What is there of
the sounds is left as it is.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile
import soxr

from sibboleth import corpus, runs
from sibboleth.corpora import assemble
from sibboleth.corpora import esd as published_esd
from sibboleth.corpora import iemocap as published_iemocap
from sibboleth.corpora.mixes import corpus as mixes
from sibboleth.corpora.mixes.corpus import Mixing
from sibboleth.corpora.synthetic.sentences import SENTENCES
from sibboleth.corpora.synthetic.sound import RATE
from sibboleth.corpus import Corpus

EMOTIONS = ("angry", "happy", "neutral", "sad")
SEXES = ("female", "male")
PATTERNS = ("n-e", "e-n", "n-e-n", "e")
"""Of ZED's utterances, each of which has one emotion."""
PAVOQUE_RATE = 44_100
PAUSE = 0.3
"""Seconds between utterances of one recording or dialogue."""
FELT = {"angry": (2.0, 4.0, 4.0), "happy": (4.0, 3.5, 3.0), "neutral": (3.0, 2.5, 3.0), "sad": (2.0, 2.0, 2.0)}
"""Valence, activation and dominance that stand in a dialogue's lines; nobody judged them."""

Row = dict[str, Any]


def esd(folder: Path, spoken: pl.DataFrame) -> None:
    """Lay out as ESD: a folder per speaker and emotion, and a list per speaker; women and men as ESD has them."""
    folders = {emotion: name for name, emotion in published_esd.EMOTIONS.items()}
    mandarin = dict(zip(folders, published_esd.MANDARIN, strict=True))
    named = [f"{number:04d}" for number in range(1, published_esd.ENGLISH)]
    free = {sex: [name for name in named if (name in published_esd.MALE) == (sex == "male")] for sex in SEXES}
    people = spoken.select("speaker", "sex", "place").unique().sort("place")
    names = {speaker: free[sex].pop(0) for speaker, sex, _ in people.iter_rows()}
    lists: dict[str, list[str]] = {}
    for row in _rows(spoken):
        speaker, emotion = names[row["speaker"]], row["emotion"]
        number = list(folders).index(emotion) * published_esd.SENTENCES + _sentence(row) + 1
        name = f"{speaker}_{number:06d}"
        _wav(folder / speaker / folders[emotion] / f"{name}.wav", row["audio"])
        lists.setdefault(speaker, []).append(f"{name}\t{row['text']}\t{mandarin[emotion]}\n")
    for speaker, lines in lists.items():
        runs.write_text(folder / speaker / f"{speaker}.txt", "".join(sorted(lines)))


def pavoque(folder: Path, spoken: pl.DataFrame) -> None:
    """Lay out as PAVOQUE: of each style one recording at 44.1 kHz, and a list of what is where in it.

    A prompt is a sentence, in as many takes as it has in its style, and the same in all styles.
    """
    for style in EMOTIONS:
        rows, takes = _rows(spoken.filter(emotion=style)), Counter[int]()
        entries = []
        for row, (start, end) in zip(rows, _times(rows), strict=True):
            prompt = takes[_sentence(row)] * len(SENTENCES["de"]) + _sentence(row) + 1
            takes[_sentence(row)] += 1
            text = json.dumps(row["text"], ensure_ascii=False)
            entries.append(
                f"- prompt: m{prompt:04d}\n  text: {text}\n  style: {style}\n  start: {start:.6f}\n  end: {end:.6f}\n"
            )
        runs.write_text(folder / f"pavoque-{style}.yaml", "".join(entries))
        if not (path := folder / f"pavoque-{style}.flac").exists():
            pause = np.zeros(round(PAUSE * RATE))
            sounds = np.concatenate([part for row in rows for part in (soundfile.read(row["audio"])[0], pause)])
            with runs.atomic(path) as temporary:
                soundfile.write(temporary, soxr.resample(sounds, RATE, PAVOQUE_RATE), PAVOQUE_RATE)


def iemocap(folder: Path, spoken: pl.DataFrame) -> None:
    """Lay out as IEMOCAP: of each pair of speakers an improvised and a scripted dialogue, half of what is said each."""
    for session in sorted({place // 2 for place in spoken["place"]}):
        rows = _rows(spoken.filter(pl.col("place") // 2 == session).sort(pl.col("utterance").str.tail(3), "place"))
        middle = len(rows) // 2
        for name, turns in (("F_impro01", rows[:middle]), ("M_script01_1", rows[middle:])):
            _dialogue(folder / f"Session{session + 1}", f"Ses{session + 1:02d}{name}", turns)


def _dialogue(top: Path, name: str, turns: Sequence[Row]) -> None:
    short = {label: code for code, label in published_iemocap.EMOTIONS.items()}
    word = {label: said.capitalize() for said, label in reversed(published_iemocap.HEARD.items())}
    evaluated, said = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"], []
    counts = Counter[str]()
    for row, (start, end) in zip(turns, _times(turns), strict=True):
        speaker, emotion = row["sex"][0].upper(), row["emotion"]
        utterance = f"{name}_{speaker}{counts[speaker]:03d}"
        counts[speaker] += 1
        felt = ", ".join(f"{value:.4f}" for value in FELT[emotion])
        evaluated.append(f"[{start:.4f} - {end:.4f}]\t{utterance}\t{short[emotion]}\t[{felt}]\n")
        evaluated.append(f"C-E1:\t{word[emotion]};\t()\n\n")
        said.append(f"{utterance} [{start:08.4f}-{end:08.4f}]: {row['text']}\n")
        _wav(top / "sentences" / "wav" / name / f"{utterance}.wav", row["audio"])
    runs.write_text(top / "dialog" / "EmoEvaluation" / f"{name}.txt", "".join(evaluated))
    runs.write_text(top / "dialog" / "transcriptions" / f"{name}.txt", "".join(said))


def zed(folder: Path, spoken: pl.DataFrame, scratch: Path, count: int, seed: int) -> None:
    """Lay out as ZED: utterances of one speaker put together, by way of `scratch`, and where the emotion is in each."""
    source = Corpus("zed", corpus.complete(spoken.with_columns(session=pl.lit(None, pl.String))))
    labels = tuple(emotion for emotion in EMOTIONS if emotion != "neutral")
    made = mixes.prepare(scratch, source, Mixing(labels=labels, patterns=PATTERNS, count=count, seed=seed))
    people = {name: f"spk{place + 1}" for place, name in enumerate(spoken["speaker"].unique(maintain_order=True))}
    told: dict[str, Mapping[str, object]] = {}
    counts = Counter[str]()
    for row in made.corpus.table.sort("utterance").iter_rows(named=True):
        speaker = people[row["speaker"]]
        counts[speaker] += 1
        name = f"{speaker}_{counts[speaker]}"
        told[name] = {
            "wav": f"{name}.wav",
            "duration": row["duration"],
            "emotion": [
                {"emo": one["label"], "start": one["start"], "end": one["end"]}
                for one in json.loads(row["segments"])
                if one["label"] in labels
            ],
        }
        _wav(folder / f"{name}.wav", row["audio"])
    runs.write_text(folder / "ZED.json", json.dumps(told, indent=1) + "\n")


def dialect(folder: Path, spoken: pl.DataFrame) -> None:
    """Write the sounds and a plain manifest; the dialect is called as the folder."""
    known = ("utterance", "speaker", "language", "text", "emotion", "sex", "synthetic")
    rows = []
    for row in _rows(spoken):
        path = folder.absolute() / "audio" / f"{row['utterance']}.wav"
        _wav(path, row["audio"])
        rows.append({**{name: row[name] for name in known}, "audio": str(path), "dialect": folder.name})
    corpus.write(assemble(folder.name, rows), folder / "manifest.csv")


def _rows(spoken: pl.DataFrame) -> list[Row]:
    return list(spoken.iter_rows(named=True))


def _sentence(row: Row) -> int:
    """Return the number of what is said among the sentences of its language, from 0."""
    plain = [said.replace(" ", "") for said in SENTENCES[row["language"]]]
    return plain.index(row["text"].replace(" ", ""))


def _times(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return start and end in seconds of utterances that follow one another."""
    found, at = [], 0.0
    for row in rows:
        end = at + soundfile.info(row["audio"]).frames / RATE
        found.append((at, end))
        at = end + PAUSE
    return found


def _wav(path: Path, audio: str) -> None:
    """Write an utterance as WAV of 16 bits, unless it is there."""
    if not path.exists():
        samples, rate = soundfile.read(audio, dtype="int16")
        with runs.atomic(path) as temporary:
            soundfile.write(temporary, samples, rate, "PCM_16")
