"""MSP-Podcast: English from podcasts, over a thousand speakers, what five or more crowd workers heard in each turn.

Layout (as unpacked)::

    Audios/MSP-PODCAST_0001_0008.wav        16 kHz; podcast, and number of the turn
    Transcripts/MSP-PODCAST_0001_0008.txt   what is said
    Labels/labels_consensus.csv             FileName, EmoClass (letter), EmoAct, EmoVal, EmoDom (means, 1..7), SpkrID,
                                            Gender, Split_Set; called labels_concensus.csv before release 1.10
    Labels/labels_detailed.csv              an answer a row: FileName, WorkerID (Workers in release 1.6),
                                            EmoClass_Major, EmoClass_Second, EmoAct, EmoVal, EmoDom; in other releases
                                            FileName and EmoDetail, as the workers' lines of labels.txt
    Labels/labels.txt                       MSP-PODCAST_0001_0008.wav; N; A:2.2; V:4.0; D:2.6;
                                            WORKER0000001; Neutral; Neutral,Confused; A:1.0; V:4.0; D:1.0;

The emotion is the plurality's; without one (`X`) it is unknown. Turns whose labels are kept back (Test3) are not in the
tables and not read. Speakers whom nobody has named count as one per podcast (`unknown-0001`).

Source: https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html. Licence: on a signed agreement.
Reference: Lotfian, Busso: Building naturalistic emotionally balanced speech corpus by retrieving emotional speech from
existing podcast recordings. IEEE Transactions on Affective Computing 10(4), 2019.
Layout read in: readme.txt of release 1.12 (files), https://openreview.net/attachment?id=6p9n68cxGM; and
datasets/MSP-PODCAST/process.py of https://github.com/Strong-AI-Lab/emotion (columns, letters).
"""

import io
from pathlib import Path

import polars as pl

from sibboleth import predictions
from sibboleth.corpora import assemble, layouts
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "MSP-Podcast's folder has Labels/labels_consensus.csv, and recordings Audios/MSP-PODCAST_0001_0008.wav"

EMOTIONS = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprised",
    "F": "fearful",
    "D": "disgusted",
    "C": "contemptuous",
    "N": "neutral",
    "O": "other",
    "X": None,
}
"""Of turns; None where no emotion has most votes."""
HEARD = {
    "angry": "angry",
    "sad": "sad",
    "happy": "happy",
    "surprise": "surprised",
    "fear": "fearful",
    "disgust": "disgusted",
    "contempt": "contemptuous",
    "neutral": "neutral",
}
"""Words of workers in lower case; all others, of which they wrote many of their own, are other."""
DIMENSIONS = {"EmoAct": "activation", "EmoVal": "valence", "EmoDom": "dominance"}
PARTS = {"train": "train", "development": "dev", "validation": "dev"}
"""Published parts by our names; others keep theirs, in lower case: test1, test2."""
COLUMNS = ("FileName", "EmoClass", *DIMENSIONS, "SpkrID", "Gender", "Split_Set")
WORKERS = ("WorkerID", "Workers")

CARD = Card(
    title="spontaneous emotions in English: podcasts, many speakers, five or more crowd workers a turn",
    languages=("en",),
    targets=("emotion", "valence", "activation", "dominance", "text"),
    address="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    licence="on a signed agreement, for research or for commerce",
    reference="Lotfian, Busso: Building naturalistic emotionally balanced speech corpus by retrieving emotional speech"
    " from existing podcast recordings. IEEE Transactions on Affective Computing 10(4), 2019",
    layout="https://openreview.net/attachment?id=6p9n68cxGM (readme.txt of release 1.12)",
    labels={"emotion": EMOTIONS},
    remarks=(
        "releases differ: 151,654 turns in 1.11, 207,136 in 1.12",
        "an emotion is a plurality among five or more workers, whose single answers are in the ratings",
        "speakers whom nobody has named count as one per podcast",
        "the published test sets share speakers with one another",
    ),
)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder; audio that is missing is where it should be.

    Columns: `emotion`, `valence`, `activation`, `dominance` (means, 1..7), `sex`, `part` (train, dev, test1, test2);
    `session` is the podcast, `text` null where there is no transcript. Raises `InvalidInput` when the folder is not
    that of MSP-Podcast, or for rows whose emotion or numbers are none.
    """
    path = layouts.need(root, ("labels_consensus.csv", "labels_concensus.csv"), LAYOUT)
    table = layouts.table(path, COLUMNS)
    problems = [problem for row in table for problem in _problems(row)]
    if problems or not table:
        raise InvalidInput(f"{path}: not the published labels", problems)
    there = _by_name(layouts.by_stem(root, layouts.recordings(root)))
    transcripts = layouts.find(root, "Transcripts")
    texts = _by_name(layouts.by_stem(transcripts, layouts.files(transcripts)) if transcripts else {})
    audios = path.parents[1] / "Audios"
    rows = sorted((_row(row, there, texts, audios) for row in table), key=lambda row: str(row["utterance"]))
    return assemble("msp-podcast", rows)


def ratings(root: Path) -> pl.DataFrame | None:
    """Return what each worker heard as predictions: the main emotion and three dimensions; None without their answers.

    Raises `InvalidInput` for tables that are not as published.
    """
    if path := layouts.find(root, "labels_detailed.csv"):
        answers = _detailed(path)
    elif path := layouts.find(root, "labels.txt"):
        answers = _lines(path)
    else:
        return None
    trials = pl.int_range(pl.len(), dtype=pl.Int32).over("rater", "utterance")
    each = answers.with_columns(trials.alias("trial"))
    known = each.filter(pl.col("emotion").str.len_chars() > 0)
    heard = pl.col("emotion").str.to_lowercase().replace_strict(HEARD, default="other").alias("label")
    parts = [_target(known.with_columns(heard, pl.lit(1.0).alias("value")), "emotion")]
    for column, target in DIMENSIONS.items():
        number = pl.col(column).str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        scores = each.with_columns(pl.lit(None, pl.String).alias("label"), number.alias("value"))
        parts.append(_target(scores.drop_nulls("value"), target))
    return pl.concat(parts).sort(predictions.KEY)


def _target(answers: pl.DataFrame, target: str) -> pl.DataFrame:
    about = {"run": "msp-podcast", "source": "listener", "target": target}
    return predictions.table({**about, **answers.select("rater", "utterance", "trial", "label", "value").to_dict()})


def _problems(row: layouts.Row) -> list[Problem]:
    found = [] if row["FileName"] else [row.problem("no file is named", "FileName")]
    if (row["EmoClass"] or "").upper() not in EMOTIONS:
        found.append(row.problem(f"{row['EmoClass']!r} is none of {', '.join(EMOTIONS)}", "EmoClass"))
    strange = [name for name in DIMENSIONS if row[name] and layouts.number(row[name]) is None]
    return [*found, *(row.problem(f"{row[name]!r} is no number", name) for name in strange)]


def _row(row: layouts.Row, there: dict[str, Path], texts: dict[str, Path], audios: Path) -> dict[str, object]:
    file, speaker, part = row["FileName"] or "", row["SpkrID"] or "", (row["Split_Set"] or "").lower()
    name = Path(file).stem
    podcast = (name.split("_") + [""])[1]
    sex = (row["Gender"] or "").lower()
    text = texts.get(name.upper())
    said = " ".join(layouts.text(text).split()) if text else None
    return {
        "utterance": name,
        "audio": str(there.get(name.upper(), audios / file)),
        "speaker": speaker if speaker.isdigit() else f"unknown-{podcast}",
        "language": "en",
        "session": podcast or None,
        "text": said or None,
        "emotion": EMOTIONS[(row["EmoClass"] or "").upper()],
        "sex": sex if sex in ("female", "male") else None,
        "part": PARTS.get(part, part) or None,
        **{target: layouts.number(row[column]) for column, target in DIMENSIONS.items()},
    }


def _by_name(files: dict[str, Path]) -> dict[str, Path]:
    """Map names of turns in upper case, as they are published, to files that may be called in another."""
    return {stem.upper(): file for stem, file in files.items()}


def _detailed(path: Path) -> pl.DataFrame:
    """Read the table of workers' answers in either of its layouts."""
    try:
        table = pl.read_csv(io.BytesIO(layouts.text(path).encode()), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path}: cannot be read as a table ({error})") from None
    worker = next((name for name in WORKERS if name in table.columns), WORKERS[0])
    needed = (
        ["FileName", "EmoDetail"]
        if "EmoDetail" in table.columns
        else ["FileName", worker, "EmoClass_Major", *DIMENSIONS]
    )
    if absent := [name for name in needed if name not in table.columns]:
        raise InvalidInput(f"{path}: not as published; it has no columns {', '.join(absent)}")
    if "EmoDetail" in needed:
        return _answers(table.select(pl.col("FileName"), pl.col("EmoDetail").alias("line")))
    emotion = pl.col("EmoClass_Major").str.strip_chars().alias("emotion")
    return table.select(_utterance(), pl.col(worker).str.strip_chars().alias("rater"), emotion, *DIMENSIONS)


def _lines(path: Path) -> pl.DataFrame:
    """Read the raw file: a line per turn, and below it one per worker."""
    lines = pl.DataFrame({"line": layouts.text(path).split("\n")}).with_columns(pl.col("line").str.strip_chars())
    file = pl.when(pl.col("line").str.starts_with("MSP")).then(pl.col("line").str.extract(r"^([^;]+)"))
    return _answers(lines.with_columns(file.forward_fill().alias("FileName")))


def _answers(lines: pl.DataFrame) -> pl.DataFrame:
    """Take workers' lines apart; others are passed over."""
    parts = pl.col("line").str.split(";")
    numbers = [pl.col("line").str.extract(rf";\s*{name[3]}:\s*([\d.,]+)").alias(name) for name in DIMENSIONS]
    worker, emotion = (parts.list.get(place, null_on_oob=True).str.strip_chars() for place in (0, 1))
    answers = lines.select(_utterance(), worker.alias("rater"), emotion.alias("emotion"), *numbers)
    return answers.filter(pl.col("rater").str.starts_with("WORKER"), pl.col("utterance").is_not_null())


def _utterance() -> pl.Expr:
    return pl.col("FileName").str.strip_chars().str.replace(r"\.\w+$", "").alias("utterance")
