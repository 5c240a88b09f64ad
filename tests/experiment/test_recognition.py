"""Tables of whom recognisers err for, of invented answers, beside what `sibboleth.scores` says of the same."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sibboleth import predictions, scores
from sibboleth.experiment.material import Material
from sibboleth.experiment.recognition import TABLES, Answers
from sibboleth.experiment.record import CELLS
from sibboleth.scores import recognition
from sibboleth.scores.recognition import Transcripts
from sibboleth.study import Study
from sibboleth.targets import Target

TEXT = Target(name="text", kind="transcription")
ENCODERS = {"dutch": 0.1, "english": 0.2}
"""Encoders and the share of words that each gets wrong in the easiest accent."""
HARD = {"nl": 1, "be": 2, "sr": 3}
"""How many times as many errors an accent has; sr has one speaker."""


@dataclass(frozen=True)
class Asked:
    """A study's answers, and the material that they are about."""

    answers: Answers

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        return self.answers.tables()

    def table(self, name: str) -> pl.DataFrame:
        return self.tables[name]


def asked(
    domain: str, regimes: tuple[str, ...] = ("within", "zero-shot"), slices: tuple[str, ...] = ("accent",)
) -> Asked:
    """Invent a study over two accents of four speakers and one of a single one; nobody knows what two say of theirs."""
    utterances = invented()
    material = Material(study(domain, regimes, slices), (), utterances, pl.DataFrame(), TEXT, pl.DataFrame())
    domains = utterances[domain].drop_nulls().unique().sort().to_list()
    runs, frames = [], []
    for encoder, chance in ENCODERS.items():
        for regime in [*regimes, "within(60 s)"]:
            for source in domains:
                for target in domains:
                    if (regime.startswith("within")) == (source == target):
                        name = f"{encoder}/ctc/{regime}/{source}>{target}"
                        budget = 60.0 if "(" in regime else None
                        row = (name, encoder, encoder, False, "ctc", False, None, regime, source, target, None, budget)
                        runs.append(row)
                        tested = utterances.filter(pl.col(domain) == target)
                        frames.append(answered(name, tested, chance * (1 + (source != target))))
    table = pl.DataFrame(sorted(runs), schema=CELLS, orient="row")
    reference = told("corpus", "reference", "corpus", utterances, utterances["text"].to_list())
    return Asked(Answers(material, table, pl.concat(frames), reference))


def study(domain: str, regimes: tuple[str, ...], slices: tuple[str, ...]) -> Study:
    return Study.model_validate({
        "name": "n", "domain": domain, "regimes": regimes, "target": {"kind": "transcription"},
        "corpora": [{"name": "c", "manifest": "m.csv"}], "statistics": {"slices": slices, "resamples": 200},
        "encoders": [{"name": name} for name in ENCODERS],
    })  # fmt: skip


def invented() -> pl.DataFrame:
    random = np.random.default_rng(5)
    rows = []
    for speaker in range(9):
        accent = "sr" if speaker == 8 else ("nl", "be")[speaker % 2]
        for number in range(12):
            words = " ".join(random.choice(list("abcdef"), 5))
            unknown = number < 2 and accent != "sr"
            rows.append({
                "utterance": f"c/{speaker}-{number:02d}", "speaker": f"s{speaker}", "corpus": "c", "text": words,
                "said": accent, "accent": None if unknown else accent, "sex": ("f", "m")[speaker // 2 % 2],
            })  # fmt: skip
    return pl.DataFrame(rows).sort("utterance")


def answered(run: str, rows: pl.DataFrame, chance: float) -> pl.DataFrame:
    random = np.random.default_rng(len(run))
    texts = [
        " ".join(word if random.random() > chance * HARD[accent] else "x" for word in text.split())
        for text, accent in rows.select("text", "said").iter_rows()
    ]
    return told(run, "model", "selected", rows, texts)


def told(run: str, source: str, rater: str, rows: pl.DataFrame, texts: list[str]) -> pl.DataFrame:
    return predictions.table({
        "run": run, "source": source, "rater": rater, "utterance": rows["utterance"], "target": "text", "label": texts,
        "value": 1.0,
    })  # fmt: skip


@pytest.fixture(scope="module")
def inside() -> Asked:
    """One domain, with accents in it."""
    return asked("corpus", ("within",), ("accent", "sex", "region"))


@pytest.fixture(scope="module")
def across() -> Asked:
    """Accents are the domains."""
    return asked("accent")


def test_tables_are_those_of_scores_without_budgets(inside: Asked) -> None:
    answers = inside.answers
    whole = answers.given.filter(~pl.col("run").str.contains("60 s"))
    speakers = dict(answers.material.table.select("utterance", "speaker").iter_rows())
    columns = ("accent", "sex")
    alone = Transcripts.of(
        whole, answers.reference, TEXT, clusters=speakers, slices=answers.material.table, columns=columns
    )
    tables = inside.tables
    assert set(tables) == set(TABLES)
    assert_frame_equal(tables["counts"], recognition.counts(alone))
    assert_frame_equal(tables["rate-ratios"], recognition.rate_ratios(alone))
    assert_frame_equal(tables["words"], recognition.lost_words(alone))
    pair = [("dutch/ctc/within/c>c", "selected", "english/ctc/within/c>c", "selected")]
    assert_frame_equal(tables["matched-pairs"].drop("family"), recognition.compare_segments(alone, pair))
    assert tables["group-scores"].is_empty(), "no run is torn apart by its domain"


def test_an_unknown_accent_is_in_no_group_and_one_speaker_has_no_interval(inside: Asked) -> None:
    counts = inside.table("counts").filter(unit="word", run="dutch/ctc/within/c>c")
    sizes = dict(counts.select("slice", "n").iter_rows())
    assert sizes["all"] == 108 and sizes["accent=nl"] + sizes["accent=be"] + sizes["accent=sr"] == 108 - 16
    ratios = inside.table("rate-ratios").filter(pl.col("group") == "sr", metric="wer", best=True)
    assert (ratios["clusters"] == 1).all() and (ratios["ratio"] > 1).all()
    assert ratios.select("low", "high", "p", "p_holm").unpivot()["value"].is_nan().all()


def test_where_accents_are_domains_the_answers_of_one_training_are_put_together(across: Asked) -> None:
    tables = across.tables
    pooled = tables["counts"].filter(pl.col("run").str.ends_with(">*"), unit="word")
    assert set(pooled["run"]) == {f"{e}/ctc/zero-shot/{a}>*" for e in ENCODERS for a in HARD}
    own = {row["run"]: row for row in tables["counts"].filter(unit="word", slice="all").to_dicts()}
    for row in pooled.filter(pl.col("slice") != "all").to_dicts():
        encoder, _, _, pair = row["run"].split("/")
        source, accent = pair.removesuffix(">*"), row["slice"].removeprefix("accent=")
        regime = "within" if accent == source else "zero-shot"
        same = own[f"{encoder}/ctc/{regime}/{source}>{accent}"]
        assert {k: row[k] for k in ("length", "hits", "n", "clusters")} == {
            k: same[k] for k in ("length", "hits", "n", "clusters")
        }
    found = tables["group-scores"]
    assert set(found["metric"]) >= {"wer", "wer_gap", "wer_mean", "wer_ratio", "cer"}
    gap = found.filter(metric="wer_gap", run="dutch/ctc/zero-shot/nl>*").row(0, named=True)
    rates = dict(found.filter(metric="wer", run=gap["run"]).select("slice", "estimate").iter_rows())
    worst, best = gap["slice"].split(",")
    assert gap["estimate"] == pytest.approx(max(rates.values()) - min(rates.values()))
    assert rates[worst] == max(rates.values()) and rates[best] == min(rates.values())


def test_without_zero_shot_each_domain_answers_by_its_own() -> None:
    counts = asked("accent", ("within",)).table("counts")
    pooled = counts.filter(pl.col("run") == "dutch/ctc/within/*>*", unit="word")
    assert set(pooled["slice"]) == {"all", *(f"accent={one}" for one in HARD)}
    assert not asked("accent", ("within",), ("sex",)).table("counts")["run"].str.ends_with("*").any(), "nobody asked"


def test_systems_are_compared_once_each_and_corrected_within_their_family(across: Asked) -> None:
    table = across.table("matched-pairs")
    assert set(table["family"]) == {"encoders, within", "encoders, zero-shot"}
    assert len(table) == 3 + 6 and set(table["a_rater"]) == {"selected"}
    for (_,), rows in table.group_by("family"):
        assert (rows["p_holm"].fill_nan(1) >= rows["p"].fill_nan(0)).all()
        assert rows["p_holm"].min() <= rows["p"].min() * len(rows) + 1e-12  # type: ignore[operator]


@pytest.mark.parametrize("texts", [{"reference": ""}, {"answer": ""}, {"reference": "", "answer": ""}])
def test_empty_texts_have_defined_results(inside: Asked, texts: dict[str, str]) -> None:
    """An empty reference has no rate, its insertions count; an empty answer drops every word."""
    answers = inside.answers

    def emptied(table: pl.DataFrame, text: str | None) -> pl.DataFrame:
        first = pl.col("utterance").str.starts_with("c/8-")  # everything of the only speaker of sr
        kept = pl.when(first).then(pl.lit(text)).otherwise("label").alias("label")
        return table if text is None else table.with_columns(kept)

    changed = Answers(
        answers.material,
        answers.runs,
        emptied(answers.given, texts.get("answer")),
        emptied(answers.reference, texts.get("reference")),
    ).tables()
    row = changed["counts"].filter(slice="accent=sr", unit="word", run="dutch/ctc/within/c>c").row(0, named=True)
    kinds: dict[str, Any] = {kind: row[kind] for kind in ("hits", "substitutions", "deletions", "insertions")}
    ratios = changed["rate-ratios"].filter(metric="wer", run=row["run"])
    groups = set(ratios.filter(column="accent")["group"]) | set(ratios.filter(column="accent")["against"])
    if "reference" not in texts:
        assert kinds == {"hits": 0, "substitutions": 0, "deletions": 60, "insertions": 0} and "sr" in groups
    else:
        added = 0 if "answer" in texts else 60
        assert kinds == {"hits": 0, "substitutions": 0, "deletions": 0, "insertions": added}
        assert groups == {"be", "nl"}, "a group without a reference word has no rate"


def test_pooled_scores_are_those_of_score(across: Asked) -> None:
    answers = across.answers
    runs = ("dutch/ctc/within/nl>nl", "dutch/ctc/zero-shot/nl>be", "dutch/ctc/zero-shot/nl>sr")
    table = answers.given.filter(pl.col("run").is_in(runs)).with_columns(run=pl.lit("dutch/ctc/zero-shot/nl>*"))
    speakers = dict(answers.material.table.select("utterance", "speaker").iter_rows())
    expected = scores.score(
        table, answers.reference, TEXT, clusters=speakers, slices=answers.material.table,
        statistics=answers.material.study.statistics, seed=answers.material.study.seed,
    ).filter(pl.col("slice") != "all")  # fmt: skip
    found = across.table("group-scores").filter(run="dutch/ctc/zero-shot/nl>*")
    assert_frame_equal(found, expected)
