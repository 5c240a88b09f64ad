"""What a study works on: its corpora as one table, scanned, with every row that was left out and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import accents, audio, corpus, predictions, splits, storage
from sibboleth.corpus import Corpus
from sibboleth.corpus.sheets import KEPT
from sibboleth.errors import InvalidInput, Problem
from sibboleth.experiment import labels, timelines
from sibboleth.experiment.alphabet import Alphabet
from sibboleth.study import CorpusSettings, Study, TargetSettings
from sibboleth.targets import Target

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """The utterances of a study, ready to be split and encoded."""

    study: Study
    corpora: tuple[Corpus, ...]
    table: pl.DataFrame
    """The merged corpus table, usable rows only, in canonical order (sorted by utterance)."""
    scan: pl.DataFrame
    """What `audio.scan` found, the same rows in the same order; without audio, what the manifest says."""
    target: Target
    excluded: pl.DataFrame
    """Rows left out: utterance, audio, reason."""
    heard: bool = True
    """Whether the audio was looked at."""
    alphabet: Alphabet | None = None
    """Of transcripts, once it is known which rows train (`transcripts.lettered`)."""

    @property
    def out(self) -> int:
        """Return how many numbers an answer has; of transcripts and segmentations, a frame."""
        if self.target.kind == "segmentation":
            return len(timelines.outputs(self.target))
        return len(self.target.labels) or 1 if self.alphabet is None else self.alphabet.out

    @property
    def background(self) -> int | None:
        """Return the number that stands for what no segment covers; none of other targets."""
        return timelines.background(self.target) if self.target.kind == "segmentation" else None

    def truth(self) -> Array:
        """Return what is to be predicted: label weights `[utterance, label]`, or numbers `[utterance, 1]`.

        Of transcripts it is tokens `[utterance, token]`, -1 behind; of segmentations timelines `[utterance, number]`.
        """
        if self.target.kind == "segmentation":
            return timelines.truth(self.table, self.scan["seconds"], self.target)
        if self.target.kind == "transcription":
            assert self.alphabet is not None
            return self.alphabet.tokens(self.table[self.target.name].to_list())
        return labels.truth(self.table, self.target)


def gather(study: Study, *, without_audio: bool = False, unlabelled: bool = False) -> Material:
    """Read, translate, merge and scan the corpora of a study; without audio, take the manifests' word for it.

    Where `unlabelled`, rows stay whatever their label is, and corpora need have none; nothing is drawn by labels.

    Raises `InvalidInput` with every bad row, an absent column, or a label map that matches nothing.
    """
    corpora = tuple(_read(settings, without_audio) for settings in study.corpora)
    for settings, one in zip(study.corpora, corpora, strict=True):
        _require_columns(settings, one, study, labelled=not unlabelled)
    mapped = [
        _mapped(settings, one, study.target, unlabelled) for settings, one in zip(study.corpora, corpora, strict=True)
    ]
    merged = corpus.merge(mapped)
    del mapped
    target, merged = labels.labelled(merged.sort("utterance"), study)
    if study.domain not in merged.columns:
        raise InvalidInput(f"no column {study.domain!r}, asked for by domain; there are {', '.join(merged.columns)}")
    no_domain = pl.when(pl.col(study.domain).is_null()).then(pl.lit(f"no value in the domain column {study.domain!r}"))
    reason = no_domain if unlabelled else pl.coalesce("left_out", no_domain)
    judged = merged.with_columns(reason.alias("left_out"), pl.col(study.domain).cast(pl.String))
    asked = judged.filter(pl.col("left_out").is_null()).drop("left_out")
    if asked.is_empty():
        reasons = judged.group_by("left_out").len().sort("len", descending=True).head(10).rows()
        told = "; ".join(f"{count} rows: {reason}" for reason, count in reasons)
        raise InvalidInput(f"no utterance is left for the study. {told}")
    scan = _unheard(asked) if without_audio else audio.scan(asked, store=storage.scans())
    usable = scan["status"] == "ok"
    heard = asked.filter(usable)
    if heard.is_empty():
        heads = zip(asked["audio"].head(KEPT), scan["reason"].head(KEPT), strict=True)
        raise InvalidInput("no utterance has usable audio", [Problem(path, reason) for path, reason in heads])
    table = heard if unlabelled else splits.drawn(heard, target.name, study.domain, study.splits, study.seed)
    kept = table.select("utterance")
    by = " and ".join(f"splits.{name}" for name in ("per_label", "balance") if getattr(study.splits, name))
    spare = heard.join(kept, on="utterance", how="anti").with_columns(reason=pl.lit(f"not drawn by {by}"))
    excluded = [
        *(_dropped(settings, one) for settings, one in zip(study.corpora, corpora, strict=True)),
        asked.with_columns(scan["reason"]).filter(~usable),
        judged.filter(pl.col("left_out").is_not_null()).rename({"left_out": "reason"}),
        spare,
    ]
    left_out = pl.concat([some.select("utterance", "audio", "reason") for some in excluded])
    found = kept.join(scan, on="utterance", how="left", maintain_order="left")
    return Material(study, corpora, table, found, target, left_out, heard=not without_audio)


def reference(material: Material) -> pl.DataFrame:
    """Return the corpus's own labels as predictions of source `reference`."""
    utterances = material.table["utterance"]
    if material.target.kind == "transcription":
        texts = {"label": material.table[material.target.name], "value": 1.0, "utterance": utterances}
        about = {"run": "corpus", "source": "reference", "rater": "corpus", "target": material.target.name}
        return predictions.table(about | texts).sort(predictions.KEY)
    if material.target.kind == "segmentation":
        told = timelines.reference(material.table, material.scan["seconds"], material.target)
        named = {"run": "corpus", "source": "reference", "rater": "corpus", "target": material.target.name}
        return predictions.table({**named, "value": 1.0, **told.to_dict()}).sort(predictions.KEY)
    weights = material.truth()
    names: Sequence[str | None] = material.target.labels or (None,)
    rows, columns = np.nonzero(weights) if material.target.labels else np.nonzero(np.ones_like(weights))
    table = predictions.table(
        {
            "run": "corpus",
            "source": "reference",
            "rater": "corpus",
            "utterance": utterances.gather(rows),
            "target": material.target.name,
            "label": pl.Series(names, dtype=pl.String).gather(columns),
            "value": weights[rows, columns],
        }
    )
    return table.sort(predictions.KEY)


def splittable(material: Material) -> pl.DataFrame:
    """Return the table with a label by which parts are alike: the target's, or what a segmentation has most of.

    Every text is one label, so that parts of a transcription are alike in their amount.
    """
    if material.target.kind == "transcription":
        return material.table.with_columns(pl.lit("text").alias(material.target.name))
    if material.target.kind == "segmentation":
        return material.table.with_columns(timelines.kinds(material.table, material.target))
    return material.table


DURATIONS = ("duration", "seconds")
"""Columns of a manifest that may hold the seconds of an utterance."""


def _unheard(table: pl.DataFrame) -> pl.DataFrame:
    """Make a scan of what the manifest knows: the utterances, and their seconds where it has them."""
    told = [pl.col(name).cast(pl.Float64, strict=False) for name in DURATIONS if name in table.columns]
    seconds = pl.coalesce(pl.col("end") - pl.col("start"), *told)
    known = {
        "utterance": pl.col("utterance"),
        "seconds": pl.when(seconds.is_finite() & (seconds > 0)).then(seconds),
        "status": pl.lit("ok"),
    }
    return table.select(known.get(name, pl.lit(None)).cast(kind).alias(name) for name, kind in audio.SCHEMA.items())


def _read(settings: CorpusSettings, without_audio: bool) -> Corpus:
    one = corpus.read(
        settings.manifest,
        name=settings.name,
        columns=settings.columns or None,
        language=settings.language,
        without_audio=without_audio,
    )
    if settings.accents is None:
        return one
    return replace(one, table=accents.derive(one.table, accents.taxonomy(settings.accents)).table)


def _require_columns(settings: CorpusSettings, one: Corpus, study: Study, labelled: bool) -> None:
    there = set(one.table.columns)
    soft = labels.soft_columns(one.table.columns, study.target.column)
    wanted = [("keep", column) for column in settings.keep]
    if not soft and labelled:
        wanted.append(("target.column", study.target.column))
    if study.domain != "corpus":
        wanted.append(("domain", study.domain))
    problems = [
        Problem(str(settings.manifest), f"no column {column!r}, asked for by {field} of the study", field=column)
        for field, column in wanted
        if column not in there
    ]
    if problems:
        raise InvalidInput(
            f"corpus {settings.name!r}: columns are missing; there are {', '.join(sorted(there))}", problems
        )


def _dropped(settings: CorpusSettings, one: Corpus) -> pl.DataFrame:
    """List the rows that `keep` leaves out."""
    reason = pl.coalesce(
        *(
            pl.when(~pl.col(name).cast(pl.String).is_in(values).fill_null(False)).then(
                pl.lit(f"keep asks for other values of {name!r}")
            )
            for name, values in settings.keep.items()
        ),
        pl.lit(None, pl.String),
    )
    table = one.table.with_columns(pl.concat_str(pl.lit(f"{one.name}/"), "utterance").alias("utterance"), reason=reason)
    return table.filter(pl.col("reason").is_not_null())


def _mapped(settings: CorpusSettings, one: Corpus, asked: TargetSettings, unlabelled: bool) -> Corpus:
    """Keep the rows asked for and translate this corpus's labels."""
    table, target = one.table, asked.column
    for name, values in settings.keep.items():
        kept = table.filter(pl.col(name).cast(pl.String).is_in(values))
        if kept.is_empty():
            there = ", ".join(table[name].cast(pl.String).drop_nulls().unique().sort().head(20).to_list())
            raise InvalidInput(f"corpus {settings.name!r}: keep leaves no row; {name} has the values {there}")
        table = kept
    if asked.kind == "segmentation":
        table = timelines.canonical(table, settings, asked)
        return Corpus(one.name, table, one.source, one.digest)
    told = [name for name in table.columns if name == target or name.startswith(f"{target}.")]
    if not unlabelled or any(table[name].null_count() < len(table) for name in told):
        table = labels.translated(table, target, settings.labels, settings.name)
    return Corpus(one.name, table, one.source, one.digest)
