"""Segments: what a corpus says holds when, as one column of a study's table, and answers of models as such segments."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import segments
from sibboleth.errors import InvalidInput
from sibboleth.metrics import segmentation
from sibboleth.metrics.spans import Spans
from sibboleth.models.decoding.timelines import Timeline, packed, unpacked
from sibboleth.study import CorpusSettings, Study, TargetSettings
from sibboleth.targets import BACKGROUND, Target

Array = npt.NDArray[np.float64]

SEGMENT = pl.List(pl.Struct({"start": pl.Float64, "end": pl.Float64, "label": pl.String}))
"""What the column holds as JSON, in order of start."""


def outputs(target: Target) -> tuple[str, ...]:
    """Return what a head can say of a frame: the background, where it is no label of the target, then the labels."""
    return (
        (*target.background[:1], *target.labels) if not set(target.background) & set(target.labels) else target.labels
    )


def background(target: Target) -> int | None:
    """Return the output that stands for what no segment covers; none where such frames are not learnt."""
    named = [one for one in target.background if one in outputs(target)]
    return outputs(target).index(named[0]) if named else None


def quiets(asked: TargetSettings) -> tuple[str, ...]:
    """Return the labels that are as good as none, that of what no segment covers first."""
    return () if asked.background is None else tuple(dict.fromkeys((asked.background, *BACKGROUND)))


def canonical(table: pl.DataFrame, settings: CorpusSettings, asked: TargetSettings) -> pl.DataFrame:
    """Write the segments of one corpus as JSON: of the tier that is asked for, in order, with the study's labels.

    Raises `InvalidInput` for what are no segments, and for a label that the corpus is said to have and has not.
    """
    name = asked.column
    if name not in table.columns:
        return table
    cells = table[name].cast(pl.String)
    empty = (cells.str.strip_chars() == "[]").fill_null(False)
    given = table.with_columns(pl.when(~empty).then(cells).alias(name))
    found = _read(given, settings, name)
    rows = found.table if asked.tier is None else found.table.filter(pl.col("tier") == asked.tier)
    known = rows["label"].unique().sort().to_list()
    if unknown := sorted(set(settings.labels) - set(known)):
        raise InvalidInput(
            f"corpus {settings.name!r}: labels names {', '.join(unknown)}, which no segment in {name!r} is; there are "
            f"{', '.join(known)}"
        )
    listed: dict[str, list[dict[str, object]]] = {one: [] for one in table.filter(empty)["utterance"]}
    listed |= {one: [] for one in found.utterances}
    named = rows.with_columns(pl.col("label").replace(settings.labels)).sort("utterance", "start", "end", "label")
    for utterance, *segment in named.select("utterance", "start", "end", "label").iter_rows():
        listed[utterance].append(dict(zip(("start", "end", "label"), segment, strict=True)))
    written = {utterance: json.dumps(several, ensure_ascii=False) for utterance, several in listed.items()}
    return table.with_columns(pl.Series(name, [written.get(one) for one in table["utterance"]], pl.String))


def _read(given: pl.DataFrame, settings: CorpusSettings, name: str) -> segments.Segments:
    """Read a column of segments; how long a recording is, is what its audio says, and which row it has is not known."""
    file = str(settings.manifest)
    table = given.select("utterance", name)
    try:
        return segments.of_manifest(table, settings.manifest.parent, column=name, file=file)
    except InvalidInput as error:
        problems = [replace(one, row=None) if one.file == file else one for one in error.problems]
        raise InvalidInput(error.summary, problems) from None


def labelled(table: pl.DataFrame, study: Study) -> tuple[Target, pl.DataFrame]:
    """Add `left_out`, the reason why a row has no usable segments; null where it has.

    Raises `InvalidInput` for labels that no corpus has.
    """
    name, asked = study.target.column, study.target
    found = table.select("utterance", pl.col(name).str.json_decode(SEGMENT).alias("segment"))
    flat = found.explode("segment").select("utterance", pl.col("segment").struct.field("label"))
    quiet = quiets(asked)
    there = [one for one in flat["label"].drop_nulls().unique().sort().to_list()]
    labels = asked.labels or tuple(one for one in there if one not in quiet)
    if absent := sorted(set(labels) - set(there)):
        raise InvalidInput(
            f"target.labels names {', '.join(absent)}, which no corpus has; there are: {', '.join(there)}"
        )
    target = asked.target(labels, quiet)
    if len(outputs(target)) < 2:
        told = ", ".join(labels) or "none"
        raise InvalidInput(f"the segments in {name!r} have only one label ({told}): nothing to tell apart")
    strange = flat.filter(~pl.col("label").is_in([*labels, *quiet])).group_by("utterance").agg(pl.col("label").min())
    reasons = table.select("utterance").join(strange, on="utterance", how="left", maintain_order="left")["label"]
    reason = (
        pl.when(pl.col(name).is_null())
        .then(pl.lit(f"no segments in column {name!r}"))
        .when(reasons.is_not_null())
        .then(pl.format("label {} is not asked for", reasons))
    )
    return target, table.with_columns(reason.alias("left_out"))


def kinds(table: pl.DataFrame, target: Target) -> pl.Series:
    """Say of each row which label it has longest, beside the background, for parts that are alike."""
    found = table.select("utterance", pl.col(target.name).str.json_decode(SEGMENT).alias("segment"))
    flat = found.explode("segment").unnest("segment").filter(pl.col("label").is_in(list(target.labels)))
    longest = (
        flat.group_by("utterance", "label")
        .agg((pl.col("end") - pl.col("start")).sum().alias("seconds"))
        .sort("seconds", "label", descending=[True, False])
        .unique("utterance", keep="first")
    )
    joined = table.select("utterance").join(longest, on="utterance", how="left", maintain_order="left")
    return joined["label"].fill_null("(background)").alias(target.name)


def truth(table: pl.DataFrame, seconds: pl.Series, target: Target) -> Array:
    """Return the segments of all rows as timelines `[utterance, number]` (`decoding.timelines`).

    What lies between segments is the background's, where there is one.
    """
    place = {label: number for number, label in enumerate(outputs(target))}
    quiet = background(target)
    names = {label: quiet for label in target.background if label not in place and quiet is not None}
    rows = table[target.name].str.json_decode(SEGMENT).to_list()
    lengths = seconds.fill_null(0.0).to_list()
    return packed([_timeline(row, length, place | names, quiet) for row, length in zip(rows, lengths, strict=True)])


def _timeline(
    row: Sequence[Mapping[str, object]], seconds: float, place: Mapping[str, int], quiet: int | None
) -> Timeline:
    """Write one row's segments; the time that none of them covers comes first, so that all others lie over it."""
    spans = [(float(str(one["start"])), min(float(str(one["end"])), seconds), place[str(one["label"])]) for one in row]
    spans = [one for one in spans if one[1] > one[0]]
    if quiet is not None:
        gaps, at = [], 0.0
        for begin, end, _ in spans:
            gaps += [(at, begin, quiet)] if begin > at else []
            at = max(at, end)
        gaps += [(at, seconds, quiet)] if seconds > at else []
        spans = sorted([*spans, *gaps])
    starts, ends, labels = (np.array([one[k] for one in spans], dtype=np.float64) for k in range(3))
    return Timeline(seconds, starts, ends, labels.astype(np.int64))


def reference(table: pl.DataFrame, seconds: pl.Series, target: Target) -> pl.DataFrame:
    """Return rows of `utterance, start, end, label`: every segment, and how long each utterance is, without label."""
    found = table.select("utterance", pl.col(target.name).str.json_decode(SEGMENT).alias("segment"))
    flat = found.explode("segment").unnest("segment").filter(pl.col("label").is_in(list(target.labels)))
    return pl.concat([_whole(table["utterance"], seconds), flat.select("utterance", "start", "end", "label")])


def answered(utterances: pl.Series, timelines: Array, target: Target) -> pl.DataFrame:
    """Return rows of `utterance, start, end, label` of timelines, as `reference` has them."""
    names, frames = outputs(target), []
    for utterance, one in zip(utterances, unpacked(timelines), strict=True):
        shown = np.array([names[label] in target.labels for label in one.labels], dtype=bool)
        frames.append((utterance, one.starts[shown], one.ends[shown], one.labels[shown]))
    columns = {
        "utterance": pl.Series(np.repeat([f[0] for f in frames], [len(f[1]) for f in frames]), dtype=pl.String),
        "start": np.concatenate([f[1] for f in frames] or [np.empty(0)]),
        "end": np.concatenate([f[2] for f in frames] or [np.empty(0)]),
        "label": pl.Series(names).gather(np.concatenate([f[3] for f in frames] or [np.empty(0, np.int64)])),
    }
    return pl.concat([_whole(utterances, pl.Series(timelines[:, 0])), pl.DataFrame(columns)])


def _whole(utterances: pl.Series, seconds: pl.Series) -> pl.DataFrame:
    ends = pl.DataFrame({"utterance": utterances, "end": seconds.cast(pl.Float64)})
    return ends.select("utterance", pl.lit(0.0).alias("start"), "end", pl.lit(None, pl.String).alias("label"))


@dataclass(frozen=True)
class Compared:
    """How timelines that are answered are scored against those that are true."""

    target: Target

    def __call__(self, true: Array, answers: Array) -> segmentation.Answers:
        """Put them beside each other, `[utterance, number]` both."""
        seconds = np.ascontiguousarray(true[:, 0])
        ours, theirs = self._spans(true), self._spans(answers).until(seconds)
        return segmentation.Answers(self.target.labels, ours, theirs, seconds, seconds, self.target.collar)

    def _spans(self, timelines: Array) -> Spans:
        names = outputs(self.target)
        rows = list(unpacked(timelines))
        labels = np.concatenate([one.labels for one in rows]) if rows else np.empty(0, np.int64)
        frame = pl.DataFrame(
            {
                "=answer": np.repeat(np.arange(len(rows)), [len(one.labels) for one in rows]),
                "start": np.concatenate([one.starts for one in rows]) if rows else [],
                "end": np.concatenate([one.ends for one in rows]) if rows else [],
                "label": pl.Series(names, dtype=pl.String).gather(labels),
            }
        )
        return Spans.of(frame.filter(pl.col("label").is_in(list(self.target.labels))), self.target.labels, len(rows))
