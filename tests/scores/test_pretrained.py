"""English against Dutch, paired: known differences and gaps, speakers in both domains, and who is a match."""

import numpy as np
import polars as pl
import pytest

from sibboleth import metrics, predictions, scores
from sibboleth.experiment import pretrained
from sibboleth.experiment.record import CELLS
from sibboleth.scores import Match
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

TARGET = Target(name="text", kind="transcription")
WORDS = ["een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien"]
STATISTICS = StatisticsSettings(resamples=1000)
WRONG = {("a", "native"): 1, ("b", "native"): 2, ("a", "fr"): 4, ("b", "fr"): 7, ("a", "de"): 3, ("b", "de"): 3}
"""Words of ten that each encoder gets wrong on average, by domain."""


def answered(run: str, said: list[tuple[str, str]], source: str = "model", rater: str = "selected") -> pl.DataFrame:
    rows = {
        "run": run, "source": source, "rater": rater, "utterance": [name for name, _ in said], "target": "text",
        "trial": 0, "label": [text for _, text in said], "value": 1.0,
    }  # fmt: skip
    table = pl.DataFrame(rows)
    missing = [pl.lit(None).alias(name) for name in predictions.SCHEMA if name not in table.columns]
    return table.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in predictions.SCHEMA.items())


def made(speakers: int = 8) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Both encoders transcribe three domains; how many words are wrong varies by speaker, alike for both."""
    random, answers, clusters = np.random.default_rng(1), [], {}
    truth = []
    shift = {(d, s): int(random.integers(-1, 2)) for d in ("native", "fr", "de") for s in range(speakers)}
    for (encoder, domain), wrong in WRONG.items():
        said = []
        for speaker in range(speakers):
            for item in range(4):
                name = f"{domain}-{speaker}-{item}"
                clusters[name] = f"{domain}-{speaker}"
                count = wrong + shift[domain, speaker]
                said.append((name, " ".join(["fout"] * count + WORDS[count:])))
        truth += [(name, " ".join(WORDS)) for name, _ in said] if encoder == "a" else []
        answers.append(answered(f"{encoder}>{domain}", said))
    return pl.concat(answers), answered("corpus", truth, "reference", "corpus"), clusters


def match(home: bool = True) -> Match:
    away = {domain: (f"a>{domain}", f"b>{domain}") for domain in ("de", "fr")}
    return Match("A", "B", "nl", "en", "lora", "native", None, ("a>native", "b>native") if home else None, away)


def told(table: pl.DataFrame, domain: str | None, contrast: str) -> tuple[float, float, float]:
    row = table.filter(pl.col("domain").eq_missing(domain), contrast=contrast)
    found: tuple[float, float, float] = row.select("estimate", "low", "high").row(0)
    return found


def test_differences_and_gaps_are_those_of_pooled_rates() -> None:
    answers, reference, clusters = made()
    found = scores.pretrained(answers, reference, TARGET, [match()], clusters=clusters, statistics=STATISTICS)
    rate = {
        run: metrics.of(TARGET)[0].rate(
            metrics.of(TARGET)[0].parts(metrics.align(own, reference, TARGET).answers).sum(0)
        )
        for (run,), own in answers.partition_by("run", as_dict=True).items()
    }
    for domain in ("native", "fr", "de"):
        assert told(found, domain, "difference")[0] == pytest.approx(rate[f"a>{domain}"] - rate[f"b>{domain}"])
    assert told(found, "fr", "gap of a")[0] == pytest.approx(rate["a>fr"] - rate["a>native"])
    assert told(found, "fr", "gap")[0] == pytest.approx(-0.3 + 0.1)
    together = np.mean([rate["a>fr"] - rate["b>fr"], rate["a>de"] - rate["b>de"]])  # as many words of each
    assert told(found, None, "difference")[0] == pytest.approx(together)
    # Speakers shift both encoders alike, so that paired differences have no spread and gaps of one encoder do.
    assert told(found, "fr", "difference")[1:] == pytest.approx((-0.3, -0.3))
    estimate, low, high = told(found, "fr", "gap of a")
    assert 0 < low < estimate < high
    assert found.filter(pl.col("domain").is_null())["clusters"].unique().to_list() == [16]


def test_the_gap_is_as_uncertain_as_a_difference_of_independent_groups() -> None:
    random = np.random.default_rng(7)
    answers, reference, clusters = made(12)
    noise = pl.Series([" ".join(WORDS[: int(k)]) for k in random.integers(3, 10, len(answers))])
    noisy = answers.with_columns(noise.alias("label"))
    settings = StatisticsSettings(resamples=4000)
    found = scores.pretrained(noisy, reference, TARGET, [match()], clusters=clusters, statistics=settings)
    widths = {}
    for run in ("a>fr", "a>native"):
        alone = scores.score(noisy.filter(run=run), reference, TARGET, clusters=clusters, statistics=settings).filter(
            metric="wer", slice="all"
        )
        widths[run] = (alone["high"] - alone["low"])[0] / 2
    _, low, high = told(found, "fr", "gap of a")
    assert (high - low) / 2 == pytest.approx(np.hypot(*widths.values()), rel=0.1)


def test_who_speaks_in_both_domains_comes_and_goes_with_both() -> None:
    answers, reference, clusters = made()
    shared = {name: name.partition("-")[2] for name in clusters}
    alike = {name: speaker.split("-")[0] for name, speaker in shared.items()}
    found = scores.pretrained(answers, reference, TARGET, [match()], clusters=alike, statistics=STATISTICS)
    assert told(found, "fr", "gap")[1:] == pytest.approx((-0.2, -0.2))
    assert found["clusters"].unique().to_list() == [8]


def test_one_speaker_has_no_interval_and_without_a_home_there_is_no_gap() -> None:
    answers, reference, clusters = made()
    one = scores.pretrained(answers, reference, TARGET, [match()], clusters=dict.fromkeys(clusters, "x"))
    assert one["low"].is_nan().all() and one["estimate"].is_finite().all()
    away = scores.pretrained(answers, reference, TARGET, [match(home=False)], clusters=clusters, statistics=STATISTICS)
    assert away["contrast"].unique().to_list() == ["difference"]


def cell(encoder: str, language: str, domain: str, **more: object) -> dict[str, object]:
    row = {name: None for name in CELLS} | {
        "run": f"{encoder}/{domain}", "encoder": encoder, "encoder_language": language, "control": False,
        "method": "ctc", "tuned": False, "regime": "within" if domain == "native" else "zero-shot",
        "source": "native", "domain": domain,
    }  # fmt: skip
    return row | more


def test_matches_are_of_one_size_one_language_each_and_the_tested_language_first() -> None:
    rows = [
        cell(encoder, language, domain)
        for encoder, language in (("en", "en"), ("nl", "nl"), ("big-en", "en"), ("many", "multi"))
        for domain in ("native", "fr")
    ]
    rows.append(cell("logmel", "nl", "native", control=True))
    sizes = [{"name": n, "layers": 7, "dim": d} for n, d in (("en", 8), ("nl", 8), ("big-en", 16), ("many", 8))]
    runs = pl.DataFrame(rows, schema=CELLS)
    (found,) = pretrained.matches(runs, sizes, pl.DataFrame({"language": ["nl", "nl"]}))
    assert (found.a, found.b, found.home, found.away) == (
        "nl", "en", ("nl/native", "en/native"), {"fr": ("nl/fr", "en/fr")},
    )  # fmt: skip
    assert pretrained.matches(runs, sizes, pl.DataFrame({"language": ["nl", "en"]})) == []
    assert (
        pretrained.matches(runs, sizes, pl.DataFrame({"language": [None, None]}, schema={"language": pl.String})) == []
    )
