"""People beside models in a report: what the page says, shows, marks as simulated, and does not make up."""

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from sibboleth import predictions
from sibboleth.experiment import people
from sibboleth.experiment.listeners import Listeners
from sibboleth.report import page
from sibboleth.report import people as people_section
from sibboleth.report.results import Results
from sibboleth.report.results import load as load_results
from sibboleth.report.sections import Section
from sibboleth.runs import RunDirectory, write_table
from sibboleth.study import ListenersSettings, StatisticsSettings
from sibboleth.targets import Target

MakeRun = Callable[..., RunDirectory]
LABELS = ("angry", "happy", "neutral", "sad")
SMALL = {"encoders": {"logmel": 1, "microsoft/wavlm-base": 2}, "regimes": ("within", "zero-shot"), "speakers": 6}
ALWAYS_WRONG = "de:de00_sad_0"
"""Everybody hears another label there, every model the right one."""
TEST = {
    "name": "voices",
    "version": "0123456789abcdef",
    "language": "en",
    "forms": 4,
    "per_listener": 0,
    "pause": 48,
    "level": -26.0,
    "drawn_for_a_study": False,
    "withheld": True,
    "checks": {"loudness": True, "headphones": True, "headphones_needed": 5, "catch": 4, "catch_allowed": 1},
    "first_language": [],
    "hearing": "ask",
    "least_age": 18,
    "parts": [
        {
            **{"name": "emotion", "kind": "choice", "target": "emotion", "question": "", "labels": list(LABELS)},
            **{"by": ["language"], "count": 12, "plays": 2, "feedback": False, "several": False, "none": False},
            **{"scales": ["confidence"], "speakers": 12, "item": 96, "practice": 3, "repeat": 8, "catch": 4},
        }
    ],
}


def load(name: str) -> ModuleType:
    """Import a file of the tests' folder; pytest's import mode puts no folder on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


panels = load("panels")


@dataclass(frozen=True)
class Said:
    """A run with people in it, and the words of its section."""

    run: RunDirectory
    html: str

    @property
    def section(self) -> str:
        begin = self.html.index('<section aria-labelledby="people">')
        return self.html[begin : self.html.index("</section>", begin)]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<svg.*?</svg>", "", self.section, flags=re.DOTALL)))


def heard(
    run: RunDirectory,
    said: pl.DataFrame,
    known: pl.DataFrame | None = None,
    conditions: Mapping[str, Any] | None = None,
    settings: ListenersSettings | None = None,
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda table: table,
) -> Said:
    """Put people into an invented run as `sibboleth run` does, and write its page."""
    utterances = change(run.table("utterances"))
    write_table(run / "utterances.parquet", utterances)
    study = SimpleNamespace(
        domain="language",
        regimes=("within", "zero-shot"),
        listeners=settings or ListenersSettings(),
        statistics=StatisticsSettings(resamples=100),
        seed=0,
    )
    target = Target(name="emotion", kind="classification", labels=LABELS)
    stuff = SimpleNamespace(study=study, table=utterances, target=target)
    cells = run.table("cells").with_columns(seconds=pl.lit(None, pl.Float64))
    reference = run.table("predictions").filter(pl.col("source") == "reference")
    answered = run.table("predictions").lazy()
    listeners = Listeners(said, (), known, None)
    made = people.tables(said, listeners, answered, cells, run.table("scores"), reference, stuff)  # type: ignore[arg-type]
    for name, table in {"listeners": said, **made}.items():
        write_table(run / f"{name}.parquet", table)
    facts = {"listening_test": conditions, "heard_by_models": {"items": said["utterance"].n_unique(), "known": 0}}
    run.write({**run.read(), **facts})
    steps = {name: step if name.startswith("people") else _nothing for name, step in page.STEPS.items()}
    with pytest.MonkeyPatch.context() as patch:  # the other figures take longer, and have tests of their own
        patch.setattr(page, "STEPS", steps)
        return Said(run, page.write(run).read_text(encoding="utf-8"))


def _nothing(_: Results) -> Section:
    return Section()


def truth_of(run: RunDirectory) -> dict[str, str]:
    """Labels of the first utterances of each speaker and label."""
    table = run.table("utterances").filter(pl.col("utterance").str.ends_with("_0"))
    return dict(table.select("utterance", "emotion").iter_rows())


def answers(run: RunDirectory, names: Mapping[str, float], source: str = "listener") -> pl.DataFrame:
    """Let listeners of these abilities answer, the first half of the items twice; all fail on one item."""
    truth = truth_of(run)
    made = panels.simulate(truth, LABELS, list(names), ability=names, run="voices", target="emotion", repeats=2)
    half = sorted(truth)[: len(truth) // 2]
    kept = made.filter((pl.col("trial") == 0) | pl.col("utterance").is_in(half))
    wrong = pl.when(pl.col("utterance") == ALWAYS_WRONG).then(pl.lit("happy")).otherwise("label")
    return kept.with_columns(label=wrong, source=pl.lit(source)).sort(predictions.KEY)


GOOD, POOR = 2.5, -0.5
ABILITIES = {f"L{k:04}": GOOD if k <= 4 else POOR for k in range(1, 9)}
KNOWN = pl.DataFrame(
    {
        "rater": list(ABILITIES),
        "status": ["finished"] * 7 + ["active"],
        "first_language": ["German"] * 4 + ["Dutch"] * 3 + ["German; Dutch"],
        "age": ["25-34"] * 8,
        "hearing": ["normal"] * 8,
        "headphone_trials": [6] * 8,
        "headphones_right": [6, 6, 6, 6, 6, 6, 2, 6],
        "catch_trials": [4] * 8,
        "catch_wrong": [0, 0, 0, 0, 0, 0, 3, 0],
        "catch_failed": [False] * 6 + [True, False],
        "median_reaction": [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4],
        "mean_plays": [1.0] * 8,
        "years.north": [3, 0, 0, 5, 0, 0, 9, 0],
    }
)
NAMES = ListenersSettings(names={"de": ("German",), "nl": ("Dutch",)})


def with_dialects(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.when(pl.col("language") == "de").then("accent").alias("dialect"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Eight people of two languages about German and Dutch, with a test that is known."""
    fake_run = sys.modules["fake_run"]
    fake = fake_run.Fake(domains=("de", "nl"), synthetic=False, **SMALL)
    run = fake_run.write_run(tmp_path_factory.mktemp("people") / "run", fake)
    right = pl.when(pl.col("utterance") == ALWAYS_WRONG).then(pl.lit("sad"))
    table = run.table("predictions")
    models = (table["source"] == "model") & (table["utterance"] == ALWAYS_WRONG)
    sure = pl.when(models).then((pl.col("label") == right).cast(pl.Float64)).otherwise("value")
    write_table(run / "predictions.parquet", table.with_columns(value=sure))
    return heard(run, answers(run, ABILITIES), KNOWN, TEST, NAMES, with_dialects)


def scores(said: Said, **wanted: str) -> dict[str, float]:
    table = said.run.table("people-scores").filter(listeners="all", slice="all", metric="uar", **wanted)
    return dict(table.filter(pl.col("group").is_not_null()).select("group", "estimate").iter_rows())


def test_one_figure_has_people_by_background_crowd_ceiling_chance_and_models(told: Said) -> None:
    found = re.search(r'aria-label="(UAR, de: [^"]*)"', told.section)
    assert found is not None
    for line in ("8 people", "native (5)", "non-native (3)", "7 who passed the checks", "crowd: what most said"):
        assert f"{line} 0." in found[1] or f"{line} 1." in found[1]
    assert "ceiling: one against the others" in found[1]
    assert "wavlm-base, within" in found[1] and "wavlm-base, zero-shot from nl" in found[1] and "logmel" in found[1]
    assert (told.run / "figures" / "people-language.svg").exists()
    assert "chance" in (told.run / "figures" / "people-language.svg").read_text(encoding="utf-8")


def test_who_is_native_follows_the_items(told: Said) -> None:
    """The first four are good and German, the rest poor; the last has both languages."""
    german, dutch = scores(told, domain="de", axis="language"), scores(told, domain="nl", axis="language")
    assert german["language=native"] > german["language=non-native"]
    assert dutch["language=native"] < dutch["language=non-native"]


def test_people_are_scored_as_counted_by_hand(told: Said) -> None:
    said = told.run.table("listeners").join(told.run.table("utterances"), on="utterance").filter(language="de")
    recalls = said.group_by("emotion").agg((pl.col("label") == pl.col("emotion")).mean())["label"]
    assert scores(told, domain="de", axis="language")["all"] == pytest.approx(recalls.mean())


def test_differences_are_of_models_minus_people_on_the_same_items(told: Said) -> None:
    table = told.run.table("people-differences").filter(axis="language", domain="de", group="all", listeners="all")
    scored = told.run.table("people-scores").filter(
        axis="language", domain="de", listeners="all", slice="all", metric="uar"
    )
    of = dict(scored.filter(pl.col("group").is_null()).select("run", "estimate").iter_rows())
    assert set(table["a_run"]) == {f"{e}/linear/{r}" for e in SMALL["encoders"] for r in ("within", "zero-shot")}  # type: ignore[union-attr]
    for row in table.to_dicts():
        assert row["n"] == 24
        people_uar = of[row["a_run"]] - row["difference"]
        assert 0.2 < people_uar < 1
    assert "wavlm-base, within" in told.words and "Models minus people, paired item by item" in told.words


def test_the_model_is_answered_for_beside_people_in_words(told: Said) -> None:
    assert re.search(r"Tested on de, people reach UAR 0\.\d\d \[.*?\] , and wavlm-base, \S+ 0\.", told.words)
    assert "By label the model is furthest behind on" in told.words
    assert re.search(r"fails on the same items as people with kappa .*? two people with each other", told.words)
    answer = told.html[told.html.index('id="answer"') : told.html.index('id="layers"')]
    assert "Tested on nl, people reach UAR" in answer


def test_an_item_that_only_models_get_can_be_heard(told: Said) -> None:
    part = told.section[told.section.index("Models are right, people wrong") :]
    assert part.index(ALWAYS_WRONG) < part.index("people-methods")
    assert "0% and 100% right" in re.sub(r"<[^>]*>", "", part)
    assert "happy \N{MULTIPLICATION SIGN}8" in part  # each once, though some answered twice


def test_dialects_have_a_figure_and_odds_ratios(told: Said) -> None:
    assert 'id="figure-people-dialect"' in told.section and 'id="figure-people-odds"' in told.section
    assert "dialect-exposed (3)" in told.section
    effects = told.run.table("people-effects")
    assert {"language", "dialect"} == set(effects["axis"])
    assert "non-native against native (de)" in told.words
    odds = effects.filter(axis="language", column="language", within="de", listeners="all").to_dicts()[0]
    assert odds["odds_ratio"] < 1 and odds["raters"] == 8


def test_the_methods_have_the_numbers_that_a_reviewer_asks_for(told: Said) -> None:
    methods = told.words[told.words.index("For the methods section") :]
    for text in (
        "8 people answered about items of this study.",
        "7 finished the test (1 active).",
        "First languages: German 4, Dutch 3, German; Dutch 1.",
        "3 of 8 have been exposed to north, 5 years at the median.",
        "48 items of 12 speakers",
        "de: angry 6, happy 6, neutral 6, sad 6; 6 speakers with 4 each.",
        "version 0123456789abcdef",
        "4 orders",
        "Sounds were brought to -26 LUFS",
        "3 for practice",
        "Headphone check (Woods et al. 2017): 8 took it, 7 passed with 5 of 6; 6 right at the median.",
        "Of 32 catch trials 3 were answered wrongly; 1 failed (more than 1 wrong): L0007.",
        "rows without who failed are beside it",
        "each item was answered by 8 people",
        "192 answers were given a second time",
        "Median reaction time 1.7 s",
        "No model was trained or selected on any of the 48 items that it answers",
        "kept out of train and dev of every fold",
        "Krippendorff",
    ):
        assert text in methods


def test_every_number_is_told_without_who_failed(told: Said) -> None:
    attentive = told.run.table("people-scores").filter(listeners="attentive", group="all", metric="uar", slice="all")
    assert set(attentive["raters"]) == {7}
    assert "without who failed" in told.words


def test_nothing_is_shown_as_nan(told: Said) -> None:
    assert not re.search(r"\bnan\b", told.words, re.IGNORECASE)


def test_simulated_listeners_are_never_called_people(make_run: MakeRun) -> None:
    run = make_run(**SMALL, synthetic=False)
    said = heard(run, answers(run, ABILITIES, "simulated"), KNOWN, TEST)
    assert '<h2 id="people">Simulated listeners beside models</h2>' in said.section
    assert "The listeners are simulated. A program drew their answers." in said.words
    without = said.words.replace("a result about people", "").replace("people-", "").replace("people.parquet", "")
    assert "people" not in without.lower().replace("between people, model and people", "")
    assert "8 simulated listeners" in said.section and "Tested on de, simulated listeners reach" in said.html
    for table in (said.run / "tables").glob("people-*.tex"):
        assert "imulated" in table.read_text(encoding="utf-8") or table.stem == "people-items"


def test_whose_language_has_another_name_is_unknown_and_the_way_out_is_said(make_run: MakeRun) -> None:
    run = make_run(**SMALL, synthetic=False)
    said = heard(run, answers(run, ABILITIES), KNOWN.drop("years.north"))
    assert "Who is native is not known for de and nl" in said.words and "listeners.names" in said.words
    assert "native (" not in said.section and "not known: no listening test was named" in said.words


def test_votes_of_a_panel_have_no_agreement_and_nothing_is_made_up(make_run: MakeRun) -> None:
    run = make_run(**SMALL, synthetic=False)
    rng = np.random.default_rng(1)
    rows = [
        (utterance, k, label if rng.random() < 0.9 else "(other)")
        for utterance, label in truth_of(run).items()
        for k in range(20)
    ]
    votes = pl.DataFrame(rows, schema={"utterance": pl.String, "trial": pl.Int32, "label": pl.String}, orient="row")
    about = {"run": "panel", "source": "listener", "rater": "all", "target": "emotion", "value": 1.0}
    said = heard(run, predictions.table({**about, **votes.to_dict()}).sort(predictions.KEY))
    assert "480 votes of people" in said.section and "who gave which of these votes is not known" in said.words
    assert "Which wrong label was said is not known" in said.words
    assert not re.search(r"\bnan\b", said.words, re.IGNORECASE)
    for absent in ("Agreement between", "ceiling: one", "Error consistency: do", "figure-people-odds", "macro F1"):
        assert absent not in said.section
    matrix = re.search(r'aria-label="(Confusions, de: people[^"]*)"', said.section)
    assert matrix is not None
    told = set(said.run.table("people-scores").filter(group="all")["metric"])
    assert told == {"uar", "accuracy", "recall", "confusion"}
    assert "960 votes, 20 for each item." in said.words and "resample speakers (2,000 resamples)" in said.words


def test_a_run_without_people_says_nothing_of_them(make_run: MakeRun) -> None:
    run = make_run(**SMALL)
    assert people_section.block(load_results(run), 12, "none", 0) is None
    assert not any(figures(load_results(run)).groups for figures in people_section.STEPS.values())
    assert not any(table(load_results(run)).rows for table in people_section.TABLES)
