"""The controlled corpus: speech with known emotions, speakers, accents and times, and a known best possible score.

espeak-ng speaks short neutral sentences in several languages. The emotion of an utterance is its pitch, pitch range,
rate, loudness and slope, drawn around the emotion's mean (`emotion`). An accented speaker says the phones of the text,
each replaced by the nearest of the first language (`phones`), with the voice of that language. Made for tests and
for the demonstration; never a result about people. Its folder::

    audio/de-f1-001.flac      16 kHz, 16 bit, mono; not normalised, loudness is a cue
    segments/de-f1.parquet    utterance, tier (phone or word), start, end (seconds), label (IPA or word)
    truth.json                design, versions, class means, speakers' baselines, best possible score

Needs the extra `speech`: espeak-ng in a wheel, under the GPL-3 (https://github.com/espeak-ng/espeak-ng).
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import polars as pl

from sibboleth import runs
from sibboleth.corpora import assemble
from sibboleth.corpora.card import Card
from sibboleth.corpora.synthetic import phones, plan, speech, truth, worker
from sibboleth.corpora.synthetic.design import Design, best_possible_score
from sibboleth.corpora.synthetic.plan import VOICES, Line, Pronunciation, Speaker
from sibboleth.corpora.synthetic.sentences import SENTENCES, WORDS
from sibboleth.corpora.synthetic.worker import Script, Segment, Worker
from sibboleth.corpus import Corpus
from sibboleth.progress import track

__all__ = ["Design", "best_possible_score", "prepare", "segments"]

CARD = Card(
    title="made here: four languages whose emotions, speakers, accents and best possible score are known",
    languages=Design().languages,
    targets=("emotion", "text", "accent"),
    address="sibboleth corpus prepare synthetic FOLDER",
    licence="made here; espeak-ng, which speaks it, is under the GPL-3",
    reference="https://github.com/espeak-ng/espeak-ng",
    layout="sibboleth makes it",
    labels={"emotion": {emotion: emotion for emotion in Design().emotions}},
    remarks=(
        "a test of tools, and never a result about people",
        "every language has the same sentences for all speakers",
    ),
    made=True,
)

_SEGMENTS = {"utterance": pl.String, "tier": pl.String, "start": pl.Float64, "end": pl.Float64, "label": pl.String}


def prepare(root: Path, design: Design | None = None, *, workers: int | None = None) -> Corpus:
    """Make the corpus in a folder, or what is missing of it, and return it.

    The same design gives the same audio to the bit, in any order of work and with any number of workers (one per
    core, if not given). Beside the usual columns: `emotion`, `sex`, `synthetic` (the speaking program),
    `best_answer` (the emotion that the best possible observer hears) and `cue_...` (what was drawn, relative to the
    speaker's baseline). Raises `MissingExtra` without espeak-ng, `SibbolethError` where the folder holds
    another design.
    """
    design = design or Design()
    speech.require()
    people = plan.speakers(design)
    said = {person: plan.lines(design, person) for person in people}
    with Worker() as process:
        version = process.version()
        truth.claim(root, design, version, people)
        missing = [person for person in people if not _is_there(root, person, said[person])]
        pronunciation = _pronunciation(process, missing)
    scripts = [
        (line, plan.script(line, _audio(root, line.name), pronunciation)) for person in missing for line in said[person]
    ]
    _speak(root, scripts, workers or _cores())
    copies = plan.copies(design, said)
    _copy(root, copies)
    everything = [*(line for person in people for line in said[person]), *copies]
    return assemble("synthetic", [_row(root, design, line, version) for line in everything])


def segments(root: Path) -> pl.DataFrame:
    """Return phones and words of all utterances: `utterance, tier, start, end, label`, in seconds of their audio."""
    return pl.read_parquet(root / "segments" / "*.parquet")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _audio(root: Path, name: str) -> Path:
    return root.absolute() / "audio" / f"{name}.flac"


def _part(root: Path, name: str) -> Path:
    return root / "segments" / f"{name}.parquet"


def _is_there(root: Path, person: Speaker, lines: Sequence[Line]) -> bool:
    return _part(root, person.name).exists() and all(_audio(root, line.name).exists() for line in lines)


def _pronunciation(process: Worker, people: Sequence[Speaker]) -> Pronunciation:
    """Ask the voices for the phones of all sentences that an accent needs."""
    needed = sorted({language for p in people if p.accent for language in (p.language, p.accent)})
    texts = {one: [text.split() for text in (*SENTENCES.get(one, ()), WORDS[one])] for one in needed}
    said = {language: process.phones(VOICES[language], texts[language]) for language in needed}
    return Pronunciation(
        {(language, number): words for language in needed for number, words in enumerate(said[language])},
        {
            language: phones.inventory(phone for words in said[language] for word in words for phone in word)
            for language in needed
        },
    )


def _speak(root: Path, scripts: Sequence[tuple[Line, Script]], workers: int) -> None:
    """Speak all lines; a speaker's segments are written when the last line is spoken."""
    spoken = worker.speak([script for _, script in scripts], workers)
    with contextlib.closing(spoken):
        results = track(zip(scripts, spoken, strict=True), "speaking", len(scripts), "utterances")
        for person, said in groupby(results, key=lambda result: result[0][0].speaker.name):
            found = [(line.name, segment) for (line, _), heard in said for segment in heard]
            runs.write_table(_part(root, person), _segment_table(found))


def _segment_table(found: Sequence[tuple[str, Segment]]) -> pl.DataFrame:
    return pl.DataFrame([{"utterance": name, **asdict(segment)} for name, segment in found], schema=_SEGMENTS)


def _copy(root: Path, copies: Sequence[Line]) -> None:
    """Make the planted duplicates: the same bytes and segments under another name."""
    if not copies:
        return
    everything = segments(root)
    parts = []
    for line in copies:
        if line.original is not None:
            with runs.atomic(_audio(root, line.name)) as temporary:
                shutil.copyfile(_audio(root, line.original), temporary)
            own = everything.filter(pl.col("utterance") == line.original)
            parts.append(own.with_columns(pl.lit(line.name).alias("utterance")))
    runs.write_table(_part(root, "copies"), pl.concat(parts))


def _row(root: Path, design: Design, line: Line, version: str) -> dict[str, object]:
    cues = {f"cue_{name}": z for name, z in line.cues.items() if design.coloured or not name.startswith("colour")}
    return {
        "utterance": line.name,
        "audio": str(_audio(root, line.name)),
        "speaker": line.known_as,
        "session": line.speaker.name,
        "language": line.speaker.language,
        "accent": line.speaker.accent or "native",
        "text": line.text,
        "emotion": line.emotion,
        "sex": line.speaker.sex,
        "synthetic": f"espeak-ng {version}",
        "best_answer": line.bayes,
        **cues,
    }
