"""ZED, the Zaion Emotion Dataset: English, 73 speakers, 180 utterances in which an emotion comes and goes.

Layout (as unpacked)::

    ZED.json            utterance to wav, duration in seconds, and [{"emo", "start", "end"}], one in each utterance
    spk1_1.wav          16 kHz; speaker, number; the recordings may also lie in a folder below

What lies outside the segments is neutral. Without the recordings the manifest still says how long they are and what is
true in them, which is all that scoring needs.

Source: https://zaion.ai/en/resources/zaion-lab-blog/zaion-emotion-dataset/. Licence: CC BY-NC 4.0.
Reference: Wang, Ravanelli, Yacoubi: Speech emotion diarization: which emotion appears when? ASRU 2023,
https://arxiv.org/abs/2306.12991.
Layout read in: recipes/ZaionEmotionDataset/emotion_diarization/zed_prepare.py of
https://github.com/speechbrain/speechbrain, and the published ZED.json.
"""

import re
from pathlib import Path

import polars as pl

from sibboleth import segments
from sibboleth.corpora import assemble, layouts
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments import Segments

LAYOUT = "ZED's folder has ZED.json, and recordings spk1_1.wav and its like there or in a folder wav"
EMOTIONS = {"angry": "angry", "happy": "happy", "sad": "sad"}

CARD = Card(
    title="emotions that come and go in English of real life: 73 speakers, one emotional segment an utterance",
    languages=("en",),
    targets=("segments", "emotion"),
    address="https://zaion.ai/en/resources/zaion-lab-blog/zaion-emotion-dataset/",
    licence="CC BY-NC 4.0",
    reference="Wang, Ravanelli, Yacoubi: Speech emotion diarization: which emotion appears when? ASRU 2023, "
    "https://arxiv.org/abs/2306.12991",
    layout="https://github.com/speechbrain/speechbrain/tree/develop/recipes/ZaionEmotionDataset",
    counts={"utterances": 180, "speakers": 73, "emotion.angry": 52, "emotion.happy": 62, "emotion.sad": 66},
    labels={"emotion": EMOTIONS},
    remarks=(
        "what no segment covers is neutral",
        "it is a test set: 180 utterances of 73 speakers are few to train on",
    ),
)

_NAME = re.compile(r"(spk\d+)_\d+")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, also where recordings are missing: their paths are where they should be.

    Columns: `emotion` (that of the utterance's segments; null where they have several), `duration` (seconds, by
    ZED.json) and `segments` (JSON). Raises `InvalidInput` when the folder is not that of ZED.
    """
    if not root.is_dir():
        raise InvalidInput(f"{root}: there is no such folder. {LAYOUT}")
    path = layouts.need(root, "ZED.json", f"It says which emotion appears when. {LAYOUT}")
    found = segments.read(path)
    problems = [
        Problem(str(path), complaint, row)
        for row, utterance in enumerate(found.utterances, start=1)
        if (complaint := _complaint(utterance, found))
    ]
    if problems or not found.utterances:
        raise InvalidInput(f"{root}: {LAYOUT}", problems)
    there = layouts.by_stem(root, layouts.recordings(root))
    columns = segments.in_manifest(found)
    listed = dict(zip(columns["utterance"], columns["segments"], strict=True))
    return assemble(
        "zed",
        (_row(name, there.get(name, path.parent / f"{name}.wav"), found, listed[name]) for name in found.utterances),
    )


def _complaint(utterance: str, found: Segments) -> str | None:
    if not _NAME.fullmatch(utterance):
        return f"{utterance!r} is not a name of ZED (speaker and number, as in spk1_1)"
    if utterance not in found.durations:
        return f"{utterance!r} has no duration"
    strange = sorted({label for _, _, label in found.of(utterance)} - set(EMOTIONS))
    return f"{utterance!r} has labels that ZED does not have: {', '.join(strange)}" if strange else None


def _row(name: str, audio: Path, found: Segments, listed: str) -> dict[str, object]:
    emotions = found.table.filter(pl.col("utterance") == name)["label"].unique().to_list()
    return {
        "utterance": name,
        "audio": str(audio),
        "speaker": name.split("_")[0],
        "language": "en",
        "emotion": emotions[0] if len(emotions) == 1 else None,
        "duration": found.durations[name],
        "segments": listed,
    }
