"""Baselines of segmentations: what needs no model, on the utterances that models are tested on."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from sibboleth import audio, predictions, scores
from sibboleth.experiment import timelines
from sibboleth.experiment.material import Material
from sibboleth.experiment.timelines import SEGMENT
from sibboleth.metrics import segmentation
from sibboleth.metrics.alignment import align
from sibboleth.scores.segmentation import error_seconds, label_seconds
from sibboleth.segments import Segments, baselines, table
from sibboleth.splits import Fit, Rows

TABLES = ("baselines", "baseline-comparisons", "error-seconds", "label-seconds")
"""Tables that only a study of segments has."""
NOTHING, LOUD, ORACLE = "no segments", "loud speech", "each utterance's label throughout"
"""Raters: all background; the commonest label wherever speech is loud enough, as suits the training rows best; and, for
scale, what a perfect classifier of utterances would say."""
THRESHOLDS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0)
"""dB under the loudest frame."""
RATE = 16_000
FAMILY = "models against {rival}, {regime}"
"""Family of paired comparisons: whoever is to be better than all baselines has to be so in each family."""


def tables(
    material: Material, fits: Sequence[Fit], runs: pl.DataFrame, given: pl.DataFrame, reference: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Make the tables named `TABLES`; `given` are the predictions of the selected raters of `runs` (cells.parquet)."""
    said = answers(material, fits, reference)
    statistics, seed = material.study.statistics, material.study.seed
    clusters = dict(material.table.select("utterance", "speaker").iter_rows())
    known = runs.filter(pl.col("run").is_in(given["run"].unique().implode())).select("run", "domain", "regime")
    pairs = [
        (FAMILY.format(rival=rater, regime=regime), run, "selected", _run(domain), rater)
        for run, domain, regime in known.sort("run").iter_rows()
        for rater in (NOTHING, LOUD)
    ]
    every = pl.concat([given, said])
    plain = pl.col("run").str.starts_with(_run(""))
    source = pl.when(plain).then(pl.lit("baseline")).otherwise(pl.lit("model")).alias("source")
    return {
        "baselines": scores.score(
            said, reference, material.target, clusters=clusters, slices=material.table, statistics=statistics, seed=seed
        ),
        "baseline-comparisons": scores.compare(
            every, reference, material.target, pairs, clusters=clusters, statistics=statistics, seed=seed
        ),
        "error-seconds": error_seconds(every, reference, material.target).with_columns(source),
        "label-seconds": label_seconds(every, reference, material.target).with_columns(source),
    }


def answers(material: Material, fits: Sequence[Fit], reference: pl.DataFrame) -> pl.DataFrame:
    """Answer for all that is tested, as predictions of run `baseline>DOMAIN`."""
    loud = _Loud(material)
    lengths = dict(zip(material.table["utterance"], material.scan["seconds"], strict=True))
    labelled = reference.filter(pl.col("label").is_not_null())
    rows = labelled.select("utterance", "start", "end", "label", pl.lit(None, pl.String).alias("tier"))
    parts = []
    for domain, tested in _tested(fits).items():
        names = material.table["utterance"].gather(np.unique(np.concatenate([test for _, test in tested])))
        durations = {name: lengths[name] for name in names}
        true = Segments(rows.filter(pl.col("utterance").is_in(names.implode())), durations)
        raters = {
            NOTHING: baselines.nothing(durations),
            LOUD: Segments(table.table([row for train, test in tested for row in loud(train, test)]), durations),
            ORACLE: baselines.oracle(true),
        }
        for rater, one in raters.items():
            named = {"run": _run(domain), "source": "model", "rater": rater, "target": material.target.name}
            parts.append(one.predictions(**named))
    return pl.concat(parts)


def _run(domain: str) -> str:
    return f"baseline>{domain}"


def _tested(fits: Sequence[Fit]) -> dict[str, list[tuple[Rows, Rows]]]:
    """Return train and test rows of every domain's folds, each tested row once; where none is within, of any regime."""
    found: dict[str, list[tuple[Rows, Rows]]] = {}
    seen: dict[str, set[int]] = {}
    for regime in ("within", "zero-shot"):
        for fit in fits:
            for test in fit.tests:
                there = seen.setdefault(test.domain, set())
                new = np.array([row for row in test.rows.tolist() if row not in there], dtype=np.int64)
                if test.regime == regime and fit.then is None and fit.budget is None and len(new):
                    found.setdefault(test.domain, []).append((fit.train, new))
                    there |= set(new.tolist())
    return found


class _Loud:
    """The commonest label of the training rows wherever frames are loud enough, by the threshold that suits them."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.known: dict[tuple[int, float, str], list[tuple[float, float, str]]] = {}
        self.utterances = material.table["utterance"].to_list()
        listed = material.table[material.target.name].str.json_decode(SEGMENT)
        self.segments = listed.to_list()
        self.chosen: dict[bytes, tuple[str, float]] = {}

    def __call__(self, train: Rows, test: Rows) -> Iterator[tuple[str, float, float, str, None]]:
        """Yield segments of test rows."""
        key = train.tobytes()
        if key not in self.chosen:
            self.chosen[key] = self._choice(train)
        for row in test.tolist():
            for start, end, label in self._of(row, *self.chosen[key]):
                yield self.utterances[row], start, end, label, None

    def _choice(self, train: Rows) -> tuple[str, float]:
        """Return the label of most seconds, and the threshold of the lowest EDER."""
        seconds = dict.fromkeys(self.material.target.labels, 0.0)
        for row in train.tolist():
            for one in self.segments[row]:
                if one["label"] in seconds:
                    seconds[one["label"]] += one["end"] - one["start"]
        label = max(seconds, key=lambda name: seconds[name])
        return label, min(THRESHOLDS, key=lambda threshold: self._error(train, label, threshold))

    def _error(self, train: Rows, label: str, threshold: float) -> float:
        some = self.material.table[train]
        lengths = self.material.scan["seconds"].gather(train)
        rows = [
            (self.utterances[row], *segment, None)
            for row in train.tolist()
            for segment in self._of(row, label, threshold)
        ]
        said = Segments(table.table(rows), dict(zip(some["utterance"], lengths, strict=True)))
        name = self.material.target.name
        true = timelines.reference(some, lengths, self.material.target)
        named = {"run": "corpus", "source": "reference", "rater": "corpus", "target": name}
        reference = predictions.table({**named, "value": 1.0, **true.to_dict()})
        answered = said.predictions(run="loud", source="model", rater="loud", target=name)
        return segmentation.EDER(align(answered, reference, self.material.target).answers)  # type: ignore[arg-type]

    def _of(self, row: int, label: str, threshold: float) -> list[tuple[float, float, str]]:
        if (row, threshold, label) not in self.known:
            path, start, end = self.material.table.select("audio", "start", "end").row(row)
            heard = audio.read(path, RATE, start, end)[0]
            self.known |= {(row, one, label): baselines.loud(heard, RATE, label, one) for one in THRESHOLDS}
        return self.known[row, threshold, label]
