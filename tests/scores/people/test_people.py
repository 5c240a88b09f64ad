"""People beside models: what is known of simulated panels is recovered, and nothing depends on names."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest
from scipy import special
from scipy import stats as oracle
from sklearn.metrics import cohen_kappa_score
from tests.panels import simulate

from sibboleth import predictions, scores
from sibboleth.errors import InvalidInput
from sibboleth.scores import people
from sibboleth.scores.people import ceiling, confidence
from sibboleth.scores.people.panel import gather
from sibboleth.stats import Resampler
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

LABELS = ("angry", "happy", "neutral", "sad")
TARGET = Target(name="emotion", labels=LABELS)
FEW = StatisticsSettings(resamples=200)


def truth_of(items: int, labels: Sequence[str] = LABELS, name: str = "u") -> dict[str, str]:
    return {f"{name}{k:03}": labels[k % len(labels)] for k in range(items)}


def speakers_of(truth: Mapping[str, str], each: int = 4) -> dict[str, str]:
    return {utterance: f"{utterance[0]}{k // each}" for k, utterance in enumerate(sorted(truth))}


def reference_of(truth: Mapping[str, str]) -> pl.DataFrame:
    columns = {"run": "corpus", "source": "reference", "rater": "corpus", "target": "emotion", "value": 1.0}
    return predictions.table({**columns, "utterance": list(truth), "label": list(truth.values())})


def model(
    truth: Mapping[str, str], name: str = "model", skill: float = 1.0, seed: int = 0, **hard: float
) -> pl.DataFrame:
    """A model with posteriors, less sure of hard utterances."""
    rng, frames = np.random.default_rng(seed), []
    for utterance, true in truth.items():
        logits = rng.normal(0, 1, len(LABELS))
        logits[LABELS.index(true)] += skill - hard.get(utterance, 0.0)
        columns = {"run": "run", "source": "model", "rater": name, "utterance": utterance, "target": "emotion"}
        frames.append(predictions.table({**columns, "label": LABELS, "value": special.softmax(logits)}))
    return pl.concat(frames)


def listeners(count: int) -> list[str]:
    return [f"p{k:02}" for k in range(count)]


def test_the_ceiling_of_a_known_panel_is_recovered_and_its_interval_holds_it() -> None:
    """Right with probability q: two people agree with q^2 + (1 - q)^2 / 3, whatever the label."""
    truth, held = truth_of(48), 0
    q = 0.5 + 0.5 / 4
    expected = q**2 + (1 - q) ** 2 / 3
    for seed in range(20):
        answers = simulate(truth, LABELS, listeners(10), target="emotion", seed=seed)
        panel = gather(answers, reference_of(truth), LABELS, speakers_of(truth))
        none = gather(answers.clear(), reference_of(truth), LABELS, {}, panel.items)
        found = ceiling.ceiling(panel, none, Resampler(200))
        row = found.filter(crowd="soft", metric="accuracy", run=people.PEOPLE).to_dicts()[0]
        held += row["low"] <= expected <= row["high"]
        assert row["estimate"] == pytest.approx(expected, abs=0.08)
    assert held >= 17


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_the_ceiling_is_each_listener_beside_the_others(missing: float) -> None:
    """Counted by hand, listener by listener, for the soft crowd and for its majority; an item weighs one."""
    truth = truth_of(16)
    answers = simulate(truth, LABELS, listeners(4), target="emotion", seed=3)
    answers = answers.filter(pl.Series(np.random.default_rng(0).random(len(answers)) >= missing))
    said = {(r, u): label for r, u, label in answers.select("rater", "utterance", "label").iter_rows()}
    found: dict[str, list[tuple[str, str, float]]] = {"soft": [], "majority": []}
    for rater, u in said:
        others = [said[other, u] for other in listeners(4) if other != rater and (other, u) in said]
        counts = {label: others.count(label) for label in set(others)}
        most = [label for label, n in counts.items() if n == max(counts.values())]
        if others:
            found["soft"].append((rater, u, others.count(said[rater, u]) / len(others)))
            found["majority"].append((rater, u, (said[rater, u] in most) / len(most)))
    panel = gather(answers, reference_of(truth), LABELS, speakers_of(truth))
    none = gather(answers.clear(), reference_of(truth), LABELS, {}, panel.items)
    accuracy = ceiling.ceiling(panel, none, Resampler(200)).filter(pl.col("metric") == "accuracy")
    for crowd, expected in found.items():
        rows = accuracy.filter(crowd=crowd)
        items = [np.mean([x for _, v, x in expected if v == u]) for u in sorted({v for _, v, _ in expected})]
        assert rows.filter(run=people.PEOPLE)["estimate"].item() == pytest.approx(np.mean(items))
        each = dict(rows.filter(pl.col("run") != people.PEOPLE).select("rater", "estimate").iter_rows())
        assert each["p01"] == pytest.approx(np.mean([x for rater, _, x in expected if rater == "p01"]))


def test_a_model_that_answers_as_a_listener_does_reaches_the_ceiling() -> None:
    truth = truth_of(96)
    hard = {u: float(np.random.default_rng(k).normal(0, 1.5)) for k, u in enumerate(truth)}
    answers = simulate(truth, LABELS, [*listeners(15), "twin"], difficulty=hard, target="emotion", seed=1)
    twin = answers.filter(rater="twin").with_columns(source=pl.lit("model"))
    strange = model(truth, "strange", skill=1.0)
    tables = people.beside(
        pl.concat([answers.filter(pl.col("rater") != "twin"), twin, strange]),
        reference_of(truth),
        TARGET,
        clusters=speakers_of(truth),
        statistics=FEW,
    )
    row = tables.ceiling.filter(crowd="soft", metric="uar", rater="twin").to_dicts()[0]
    assert row["difference_low"] < 0 < row["difference_high"]
    consistency = {r["rater"]: r for r in tables.consistency.filter(between="model and people").to_dicts()}
    assert consistency["twin"]["difference_low"] < 0 < consistency["twin"]["difference_high"]
    assert consistency["strange"]["difference_high"] < 0  # it errs on other items
    assert consistency["strange"]["low"] < 0.05 < consistency["twin"]["low"]
    assert tables.confidence["rater"].unique().to_list() == ["strange"]  # a forced choice has no confidence


def test_consistency_is_the_mean_of_scikit_learns_kappa_of_being_right() -> None:
    truth = truth_of(40)
    answers = simulate(truth, LABELS, listeners(5), target="emotion")
    found = people.beside(
        pl.concat([answers, model(truth)]), reference_of(truth), TARGET, clusters=speakers_of(truth), statistics=FEW
    ).consistency
    right = {
        rater[0]: (frame.sort("utterance")["label"] == pl.Series([truth[u] for u in sorted(truth)])).to_list()
        for rater, frame in pl.concat([answers, predictions.decide(model(truth))]).group_by("rater")
    }
    pairs = [cohen_kappa_score(right[a], right[b]) for k, a in enumerate(listeners(5)) for b in listeners(5)[:k]]
    mixed = [cohen_kappa_score(right["model"], right[name]) for name in listeners(5)]
    assert found.filter(between="people")["estimate"].item() == pytest.approx(np.mean(pairs), abs=1e-9)
    row = found.filter(between="model and people").to_dicts()[0]
    assert row["estimate"] == pytest.approx(np.mean(mixed), abs=1e-9)
    assert row["difference"] == pytest.approx(np.mean(mixed) - np.mean(pairs), abs=1e-9)
    assert (row["estimate"], row["observed"]) == pytest.approx(
        ((row["observed"] - row["expected"]) / (1 - row["expected"]), row["observed"]), abs=0.02
    )
    each = dict(found.filter(between="model and listener").select("other_rater", "estimate").iter_rows())
    assert each["p03"] == pytest.approx(mixed[3], abs=1e-9)


def test_independent_errors_have_no_consistency() -> None:
    truth, held = truth_of(60), 0
    for seed in range(20):
        answers = simulate(truth, LABELS, listeners(8), target="emotion", seed=seed)
        panel = gather(answers, reference_of(truth), LABELS, speakers_of(truth))
        none = gather(answers.clear(), reference_of(truth), LABELS, {}, panel.items)
        row = people.comparing.consistency(panel, none, Resampler(200)).to_dicts()[0]
        held += row["low"] <= 0 <= row["high"]
    assert held >= 17


def test_the_correlation_is_scipys_and_its_limits_lie_around_it() -> None:
    rng = np.random.default_rng(0)
    a, speakers = rng.integers(0, 6, 60).astype(float), np.arange(60) // 5
    b = a + rng.integers(0, 6, 60)
    estimate, low, high = confidence.correlation(a, b, speakers, Resampler(200))
    assert estimate == pytest.approx(oracle.spearmanr(a, b).statistic, abs=1e-9)
    assert low < estimate < high
    assert np.isnan(confidence.correlation(np.ones(60), b, speakers, Resampler(200))[0])


def test_a_model_that_is_unsure_of_what_people_find_hard_is_seen() -> None:
    truth = truth_of(64)
    hard = {u: float(np.random.default_rng(k).normal(0, 2)) for k, u in enumerate(truth)}
    answers = simulate(truth, LABELS, listeners(12), difficulty=hard, target="emotion")
    both = pl.concat([answers, model(truth, "alike", 4.0, **hard), model(truth, "other", 4.0)])
    found = people.beside(both, reference_of(truth), TARGET, clusters=speakers_of(truth), statistics=FEW).confidence
    rows = {(r["rater"], r["measure"]): r for r in found.to_dicts()}
    for measure in ("share", "entropy"):
        assert rows["alike", measure]["low"] > 0.2
        assert rows["other", measure]["low"] < 0 < rows["other", measure]["high"]


@pytest.fixture(scope="module")
def dialects() -> dict[str, pl.DataFrame | dict[str, str]]:
    """Two domains with labels of their own, natives and others, one listener who failed."""
    functions = ("Expectation", "Negation", "Question")
    standard, dialect = truth_of(24, name="s"), truth_of(12, functions, "d")
    native = {name: "yes" if k % 2 else "no" for k, name in enumerate(listeners(12))}
    ability = {name: 3.0 if value == "yes" else -1.0 for name, value in native.items()}
    answers = [
        simulate(standard, LABELS, listeners(12), ability=ability, target="emotion"),
        simulate(dialect, functions, listeners(12), ability=ability, target="emotion", seed=1),
    ]
    who = pl.DataFrame({"rater": listeners(12), "native": list(native.values()), "catch_failed": ["false"] * 12})
    who = who.with_columns(
        catch_failed=pl.when(pl.col("rater") == "p03").then(pl.lit("true")).otherwise("catch_failed")
    )
    truth = standard | dialect
    return {
        "answers": pl.concat([*answers, model(standard)]),
        "reference": reference_of(truth),
        "listeners": who,
        "clusters": speakers_of(standard) | speakers_of(dialect),
        "domains": {u: "Mandarin" if u[0] == "s" else "Tianjin" for u in truth},
    }


@pytest.fixture(scope="module")
def tables(dialects: dict[str, pl.DataFrame | dict[str, str]]) -> people.Tables:
    return beside(dialects, by=["native"])


def beside(dialects: dict[str, pl.DataFrame | dict[str, str]], **more: object) -> people.Tables:
    every = Target(name="emotion", labels=(*LABELS, "Expectation", "Negation", "Question"))
    return people.beside(
        dialects["answers"],
        dialects["reference"],
        every,
        **{"statistics": FEW, **{k: dialects[k] for k in ("clusters", "domains", "listeners")}, **more},
    )


def test_every_domain_has_its_own_labels_and_chance(tables: people.Tables) -> None:
    rows = {row["domain"]: row for row in tables.domains.to_dicts()}
    assert set(rows) == {"Mandarin", "Tianjin"}  # never pooled: their labels differ
    assert rows["Tianjin"]["labels"] == ["Expectation", "Negation", "Question"]
    assert (rows["Mandarin"]["chance"], rows["Tianjin"]["chance"]) == (1 / 4, pytest.approx(1 / 3))
    assert (rows["Mandarin"]["models"], rows["Tianjin"]["models"]) == (1, 0)
    recalls = tables.scores.filter(domain="Tianjin", metric="recall")["slice"].unique().sort().to_list()
    assert recalls == ["label=Expectation", "label=Negation", "label=Question"]
    assert set(tables.ceiling["domain"]) == {"Mandarin", "Tianjin"}


def test_groups_are_scored_apart_and_those_who_failed_are_left_out_beside(
    dialects: dict[str, pl.DataFrame | dict[str, str]], tables: people.Tables
) -> None:
    uar = tables.scores.filter(metric="uar", slice="all", domain="Mandarin", run=people.PEOPLE)
    found = {(row["listeners"], row["group"]): row for row in uar.to_dicts()}
    assert found["all", "native=yes"]["low"] > found["all", "native=no"]["high"]
    raters = {key: row["raters"] for key, row in found.items()}
    assert raters["all", "all"] == 12 and raters["attentive", "all"] == 11
    assert raters["attentive", "native=yes"] == 5 and raters["attentive", "native=no"] == 6
    answers = dialects["answers"]
    assert isinstance(answers, pl.DataFrame)
    without = answers.filter(pl.col("rater") != "p03")
    alone = beside(dialects | {"answers": without}, by=["native"])
    for name in ("agreement", "ceiling", "consistency", "differences"):
        attentive, other = (
            getattr(each, name).filter(listeners=version).drop("listeners")
            for each, version in ((tables, "attentive"), (alone, "all"))
        )
        assert attentive.equals(other), name
    compared = tables.differences.filter(listeners="all", group="native=yes").to_dicts()
    assert [row["b_raters"] for row in compared] == [6]


def test_a_domain_that_only_those_who_failed_heard_is_told_of_all_alone(
    dialects: dict[str, pl.DataFrame | dict[str, str]],
) -> None:
    answers = dialects["answers"]
    assert isinstance(answers, pl.DataFrame)
    elsewhere = answers.filter((pl.col("rater") == "p03") | pl.col("utterance").str.starts_with("s"))
    found = beside(dialects | {"answers": elsewhere})
    for table in (found.scores, found.differences, found.ceiling):
        assert set(table.filter(listeners="attentive")["domain"]) == {"Mandarin"}
    assert set(found.scores["domain"]) == {"Mandarin", "Tianjin"}


def test_names_of_people_and_order_of_rows_change_nothing(
    dialects: dict[str, pl.DataFrame | dict[str, str]], tables: people.Tables
) -> None:
    answers, who = dialects["answers"], dialects["listeners"]
    assert isinstance(answers, pl.DataFrame) and isinstance(who, pl.DataFrame)
    new = {name: f"q{(k * 7) % 12:02}" for k, name in enumerate(listeners(12))}
    renamed = dialects | {
        "answers": answers.with_columns(pl.col("rater").replace(new)).sample(fraction=1, shuffle=True, seed=1),
        "listeners": who.with_columns(pl.col("rater").replace(new)),
    }
    first, second = tables, beside(renamed, by=["native"])
    for name in ("domains", "agreement", "differences", "disputed", "effects"):
        left, right = getattr(first, name), getattr(second, name)
        numbers = [c for c, kind in left.schema.items() if kind == pl.Float64]
        assert left.drop(numbers).equals(right.drop(numbers)), name
        for column in numbers:
            np.testing.assert_allclose(left[column].to_numpy(), right[column].to_numpy(), rtol=1e-6, err_msg=name)
    whole = [t.ceiling.filter(run=people.PEOPLE).drop("run", "rater") for t in (first, second)]
    np.testing.assert_allclose(*(t["low"].to_numpy() for t in whole), rtol=1e-9)


def test_items_where_people_are_sure_and_models_wrong_come_first() -> None:
    truth = truth_of(8)
    wrong, hard = "u003", "u005"
    answers = simulate(truth, LABELS, listeners(6), ability=dict.fromkeys(listeners(6), 50.0), target="emotion")
    answers = answers.with_columns(label=pl.when(pl.col("utterance") == hard).then(pl.lit("angry")).otherwise("label"))
    made = simulate(truth, LABELS, ["m"], ability={"m": 50.0}, target="emotion", run="run").with_columns(
        source=pl.lit("model"), label=pl.when(pl.col("utterance") == wrong).then(pl.lit("sadly")).otherwise("label")
    )
    found = people.beside(
        pl.concat([answers, made]), reference_of(truth), TARGET, clusters=speakers_of(truth), statistics=FEW
    ).disputed
    rows = found.head(2).sort("utterance").to_dicts()
    assert [(row["utterance"], row["right"], row["gap"]) for row in rows] == [
        (wrong, "people", 1.0),
        (hard, "models", -1.0),
    ]
    assert rows[0]["models_answer"] == "(other)" and rows[1]["people_answer"] == "angry"
    assert set(found["right"].tail(6)) == {"both"}


def test_numbers_have_agreement_and_differences() -> None:
    rng = np.random.default_rng(0)
    truth = {f"u{k:02}": float(k % 7) for k in range(30)}
    rows = [
        predictions.table(
            {"run": "r", "source": source, "rater": name, "target": "arousal", "utterance": list(truth)}
            | {"value": np.array(list(truth.values())) + rng.integers(-spread, spread + 1, 30)}
        )
        for source, name, spread in [("reference", "corpus", 0), ("model", "m", 1)]
        + [("listener", f"p{k}", 2) for k in range(5)]
    ]
    target = Target(name="arousal", kind="regression")
    speakers = speakers_of(dict.fromkeys(truth, ""))
    tables = people.beside(pl.concat(rows[1:]), rows[0], target, clusters=speakers, statistics=FEW)
    found = dict(tables.agreement.select("coefficient", "estimate").iter_rows())
    assert found["alpha_interval"] > found["alpha_nominal"]
    assert tables.ceiling.is_empty() and not tables.differences.is_empty()


@pytest.mark.parametrize(
    ("listeners_table", "by", "message"),
    [
        (pl.DataFrame({"name": ["p00"]}), (), "column 'rater' is missing"),
        (pl.DataFrame({"rater": ["p00", "p00"]}), (), "two rows"),
        (pl.DataFrame({"rater": ["x"]}), (), "none of its raters"),
        (pl.DataFrame({"rater": ["p00"], "excluded": ["perhaps"]}), (), "neither true nor false"),
        (pl.DataFrame({"rater": ["p00"]}), ("native",), "no column 'native'"),
        (None, ("native",), "no listeners table"),
    ],
)
def test_a_listeners_table_that_cannot_be_used_is_named(
    listeners_table: pl.DataFrame | None, by: tuple[str, ...], message: str
) -> None:
    truth = truth_of(8)
    answers = simulate(truth, LABELS, listeners(2), target="emotion")
    with pytest.raises(InvalidInput) as raised:
        people.beside(answers, reference_of(truth), TARGET, clusters={}, listeners=listeners_table, by=by)
    assert message in str(raised.value)


def test_simulated_listeners_are_never_mixed_with_people() -> None:
    truth = truth_of(8)
    answers = simulate(truth, LABELS, listeners(2), target="emotion")
    real = answers.with_columns(source=pl.lit("listener"), run=pl.lit("real"))
    for both, message in ((pl.concat([answers, real]), "each apart"), (model(truth), "no answers of listeners")):
        with pytest.raises(InvalidInput, match=message):
            people.beside(both, reference_of(truth), TARGET, clusters={})
    with pytest.raises(InvalidInput, match="no item that people answered"):
        people.beside(answers, reference_of({"v": "angry"}), TARGET, clusters={})


def test_the_first_answer_counts_for_agreement_and_all_for_scores() -> None:
    truth = truth_of(8)
    answers = simulate(truth, LABELS, listeners(4), repeats=2, target="emotion")
    first = answers.filter(pl.col("trial") == 0)
    panels = [gather(each, reference_of(truth), LABELS, {}) for each in (answers, first)]
    np.testing.assert_array_equal(panels[0].answers, panels[1].answers)
    scored = people.beside(answers, reference_of(truth), TARGET, clusters=speakers_of(truth), statistics=FEW).scores
    assert scored.filter(metric="uar", slice="all", group="all")["n"].item() == 64
    assert set(scored.columns) >= set(scores.scoring.SCHEMA)


def test_votes_of_unknown_people_have_a_crowd_and_no_persons() -> None:
    """Votes are sorted by frequency, as corpora give them, and are not told from each other by it."""
    truth = truth_of(24)
    known = simulate(truth, LABELS, listeners(9), target="emotion")
    votes = known.sort("utterance", "label").with_columns(
        rater=pl.lit("panel"), trial=pl.int_range(pl.len()).over("utterance").cast(pl.Int32)
    )
    tables = [
        people.beside(
            pl.concat([each, model(truth)]), reference_of(truth), TARGET, clusters=speakers_of(truth), statistics=FEW
        )
        for each in (known, votes)
    ]
    for coefficient in ("alpha_nominal", "fleiss_kappa"):
        first, second = (t.agreement.filter(coefficient=coefficient).to_dicts()[0] for t in tables)
        assert first["estimate"] == pytest.approx(second["estimate"], abs=1e-9)
        assert first["low"] != second["low"]  # nobody is resampled among votes
    ceilings = [t.ceiling.filter(pl.col("run").is_in([people.PEOPLE, "run"])) for t in tables]
    for column in ("estimate", "difference"):
        np.testing.assert_allclose(*(c[column].drop_nulls().to_numpy() for c in ceilings))
    assert len(tables[1].ceiling) == len(ceilings[1]) and tables[1].consistency.is_empty()
    assert tables[1].effects.is_empty()
    assert tables[0].confidence["estimate"].to_list() == pytest.approx(tables[1].confidence["estimate"].to_list())

    wrong = pl.when(pl.col("label") != pl.col("utterance").replace_strict(truth)).then(pl.lit("(other)"))
    unknown = people.beside(
        pl.concat([votes.with_columns(label=wrong.otherwise("label")), model(truth)]),
        reference_of(truth),
        TARGET,
        clusters=speakers_of(truth),
        statistics=FEW,
    )
    assert unknown.agreement.is_empty() and unknown.ceiling.is_empty()
    assert unknown.confidence["measure"].to_list() == ["share"]
    assert unknown.disputed.sort("utterance")["people_right"].to_list() == pytest.approx(
        tables[1].disputed.sort("utterance")["people_right"].to_list()
    )
