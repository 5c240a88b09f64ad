"""What listeners said of CREMA-D's clips from the voice alone: six emotions, about ten answers a clip.

Layout (as published)::

    finishedResponses.csv                 one answer a row: localid (person), queryType (1: voice alone), clipName,
                                          respEmo (letter), sessionNums, questNum; practice and repeats are removed
    finishedEmoResponses.csv              the first click: sessionNums, queryType, questNum, ttr (milliseconds)
    processedResults/tabulatedVotes.csv   votes per clip: row name (1 and the clip's number: voice alone), A, D, F, H,
                                          N, S, fileName

As in the published tables, answers whose first click took longer than ten seconds do not count. Where single answers
are not there (or are pointers of Git LFS), votes are.

Source: README.md, processFinishedResponses.R and tabulateVotesV2.r of
https://github.com/CheyneyComputerScience/CREMA-D. Reference: Cao, Cooper, Keutmann, Gur, Nenkova, Verma: CREMA-D:
Crowd-sourced Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), 2014.
"""

from pathlib import Path

import polars as pl

from sibboleth import predictions
from sibboleth.corpora import votes
from sibboleth.errors import InvalidInput, Problem

EMOTIONS = {"A": "angry", "D": "disgusted", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}
VOICE = "1"
SLOW = 10_000
"""Milliseconds to the first click above which an answer does not count."""
RUN, PANEL = "crema-d", "crema-d-panel"
QUESTION = ["sessionNums", "queryType", "questNum"]
"""Columns that name one question of one session."""


def ratings(root: Path) -> pl.DataFrame | None:
    """Return the answers, else the votes, as predictions; None where the folder has neither.

    Utterances are called as the clips (`1001_IEO_NEU_XX`). Raises `InvalidInput` for tables that are not as published.
    """
    single = _table(root / "finishedResponses.csv", [*QUESTION, "localid", "clipName", "respEmo"])
    if single is not None:
        return _answers(single, _table(root / "finishedEmoResponses.csv", [*QUESTION, "ttr"]))
    path = root / "processedResults" / "tabulatedVotes.csv"
    counted = _table(path, [*EMOTIONS, "fileName"])
    return None if counted is None else _votes(path, counted)


def _answers(single: pl.DataFrame, first: pl.DataFrame | None) -> pl.DataFrame:
    heard = single.filter(pl.col("queryType") == VOICE)
    if first is not None:
        slow = first.filter(pl.col("ttr").cast(pl.Float64, strict=False) > SLOW)
        heard = heard.join(slow, on=QUESTION, how="anti")
    each = heard.select(
        pl.col("localid").alias("rater"),
        pl.col("clipName").alias("utterance"),
        pl.col("respEmo").replace_strict(EMOTIONS, default=None).alias("label"),
    ).drop_nulls()
    trials = pl.int_range(pl.len(), dtype=pl.Int32).over("rater", "utterance")
    about = {"run": RUN, "source": "listener", "target": "emotion", "value": 1.0}
    return predictions.table({**about, **each.with_columns(trials.alias("trial")).to_dict()}).sort(predictions.KEY)


def _votes(path: Path, counted: pl.DataFrame) -> pl.DataFrame:
    heard = counted.filter(counted[counted.columns[0]].str.starts_with(VOICE))
    numbers = heard.select("fileName", *(pl.col(letter).cast(pl.Int64, strict=False) for letter in EMOTIONS))
    bad = numbers.filter(pl.any_horizontal(pl.col(list(EMOTIONS)).is_null()))
    if len(bad):
        problems = [Problem(str(path), f"votes of {name!r} are no numbers") for name in bad["fileName"]]
        raise InvalidInput(f"{path}: not the published votes", problems)
    rows = numbers.iter_rows(named=True)
    found = {row["fileName"]: {emotion: row[letter] for letter, emotion in EMOTIONS.items()} for row in rows}
    return votes.table(RUN, PANEL, "emotion", found)


def _table(path: Path, needed: list[str]) -> pl.DataFrame | None:
    """Read a table as text; None where it is absent or a pointer to a file that was not fetched."""
    if not path.is_file() or path.read_bytes()[:100].startswith(b"version https://git-lfs"):
        return None
    try:
        table = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path}: cannot be read as a table ({error})") from None
    if absent := [name for name in needed if name not in table.columns]:
        raise InvalidInput(f"{path}: not as published; it has no columns {', '.join(absent)}")
    return table
