"""For whom recognisers err: the tables of a run about transcripts, beside its scores."""

from dataclasses import dataclass

import polars as pl

from sibboleth import scores
from sibboleth.experiment import pairs
from sibboleth.experiment.material import Material
from sibboleth.scores import recognition
from sibboleth.scores.recognition import Transcripts

TABLES = ("counts", "rate-ratios", "words", "matched-pairs", "group-scores")
"""Tables that only a study of transcripts has."""
ELSEWHERE = "zero-shot"
"""The regime that says how a recogniser does outside the domain that trained it."""
COMPARED = tuple(f"{what}, {regime}" for what in ("encoders", "methods") for regime in ("within", ELSEWHERE))
"""Families of systems that are compared over segments of speech."""


@dataclass(frozen=True)
class Answers:
    """What the study's recognisers answered, each by what dev chose for it."""

    material: Material
    runs: pl.DataFrame
    """Rows of cells.parquet."""
    given: pl.DataFrame
    """Predictions of the selected raters."""
    reference: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Make the tables named `TABLES`, of runs that had all of their training speech and no draw of shots."""
        whole = self.runs.filter(pl.col("seconds").is_null(), pl.col("shots").is_null())
        statistics = self.material.study.statistics
        alone = self._transcripts(self.given.join(whole.select("run"), on="run", how="semi"), statistics.slices)
        found = [alone]
        pooled = self._pooled(whole)
        if len(pooled):
            found.append(self._transcripts(pooled, (self.material.study.domain,)))
        confidence = statistics.confidence
        return {
            "counts": pl.concat(recognition.counts(one) for one in found),
            "rate-ratios": pl.concat(recognition.rate_ratios(one, confidence) for one in found),
            "words": pl.concat(recognition.lost_words(one, confidence) for one in found),
            "matched-pairs": _matched(alone, whole),
            "group-scores": self._scored(pooled),
        }

    def _transcripts(self, given: pl.DataFrame, columns: tuple[str, ...]) -> Transcripts:
        material = self.material
        return Transcripts.of(
            given,
            self.reference,
            material.target,
            clusters=_speakers(material),
            slices=material.table,
            columns=columns,
        )

    def _pooled(self, whole: pl.DataFrame) -> pl.DataFrame:
        """Put the answers of one training to all domains under one name, `ENCODER/METHOD/REGIME/SOURCE>*`.

        A run has one domain only, so that where domains are the groups (accents, say) no run tells them apart. Each
        training's answers within its own domain stand beside its zero-shot ones; without that regime each domain is
        answered by what it trained itself, `*>*`. Nothing where the domain is no slice of the study, or has one value.
        """
        study = self.material.study
        if study.domain not in study.statistics.slices:
            return self.given.clear()
        carried = ELSEWHERE in set(whole["regime"])
        regime, source = (ELSEWHERE, pl.col("source")) if carried else ("within", pl.lit("*"))
        name = pl.format("{}/{}/{}/{}>*", "encoder", "method", pl.lit(regime), source)
        named = whole.filter(pl.col("regime").is_in(["within", regime])).select("run", "domain", name.alias("all"))
        named = named.filter(pl.col("domain").n_unique().over("all") > 1)
        return self.given.join(named, on="run").select(
            pl.col("all").alias("run"), pl.col(self.given.columns).exclude("run")
        )

    def _scored(self, pooled: pl.DataFrame) -> pl.DataFrame:
        """Score pooled answers by domain, as scores.parquet does others by slice."""
        study = self.material.study
        table = scores.score(
            pooled,
            self.reference,
            self.material.target,
            clusters=_speakers(self.material),
            slices=self.material.table,
            statistics=study.statistics.model_copy(update={"slices": (study.domain,)}),
            seed=study.seed,
        )
        return table.filter(pl.col("slice") != "all")


def _speakers(material: Material) -> dict[str, str | None]:
    return dict(material.table.select("utterance", "speaker").iter_rows())


def _matched(transcripts: Transcripts, whole: pl.DataFrame) -> pl.DataFrame:
    """Compare systems by matched pairs, corrected by Holm within each family."""
    compared = [(family, tuple(names)) for family, *names in pairs.pairs(whole) if family in COMPARED]
    frames = [pl.DataFrame(schema={"family": pl.String, **recognition.PAIRS})]
    for family in COMPARED:
        mine = [(a, x, b, y) for name, (a, x, b, y) in compared if name == family]
        table = recognition.compare_segments(transcripts, mine)
        frames.append(table.select(pl.lit(family).alias("family"), *recognition.PAIRS))
    return pl.concat(frames)
