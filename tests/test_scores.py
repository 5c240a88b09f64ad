import jiwer
import numpy as np
import polars as pl
import pytest
import sklearn.metrics as oracle

from sibboleth import predictions, scores, stats
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.metrics.classification import confusion
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

LABELS = ("angry", "happy", "sad")
EMOTION = Target(name="emotion", labels=LABELS)
FAST = StatisticsSettings(resamples=200, slices=("accent", "sex"))
COUNT = 60
UTTERANCES = [f"u{k:02d}" for k in range(COUNT)]
SPEAKERS: dict[str, str | None] = {u: f"s{k % 6}" for k, u in enumerate(UTTERANCES)}
SLICES = pl.DataFrame({
    "utterance": UTTERANCES,
    "accent": [("US", "UK", "US")[k % 3] for k in range(COUNT)],
    "sex": [("f", "m")[k // 10 % 2] for k in range(COUNT)],
    "language": "en",
})  # fmt: skip
TRUE = np.random.default_rng(42).integers(0, 3, COUNT)


def reference(**columns: object) -> pl.DataFrame:
    base = {"run": "corpus", "source": "reference", "rater": "corpus", "utterance": UTTERANCES, "target": "emotion"}
    return predictions.table(base | {"label": [LABELS[k] for k in TRUE], "value": 1.0} | columns)


def choices(seed: int = 0, **columns: object) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(COUNT) < 0.6, TRUE, rng.integers(0, 3, COUNT))
    base = {"run": "r", "source": "model", "rater": "m", "utterance": UTTERANCES, "target": "emotion"}
    return predictions.table(base | {"label": [LABELS[k] for k in said], "value": 1.0} | columns)


def posteriors(seed: int = 0, **columns: object) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(COUNT, 3))
    logits[np.arange(COUNT), TRUE] += 1
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    base = {"run": "r", "source": "model", "rater": "m", "utterance": np.repeat(UTTERANCES, 3), "target": "emotion"}
    return predictions.table(base | {"label": np.tile(LABELS, COUNT), "value": weights.ravel()} | columns)


def scored(answers: pl.DataFrame, truth: pl.DataFrame | None = None, **options: object) -> pl.DataFrame:
    chosen = {"clusters": SPEAKERS, "slices": SLICES, "statistics": FAST} | options
    return scores.score(answers, reference() if truth is None else truth, EMOTION, **chosen)  # type: ignore[arg-type]


def one(table: pl.DataFrame, metric: str, part: str = "all") -> dict[str, float]:
    rows = table.filter(pl.col("metric") == metric, pl.col("slice") == part).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


def said_of(answers: pl.DataFrame) -> np.ndarray:
    return np.array([LABELS.index(label) for label in predictions.decide(answers).sort("utterance")["label"]])


def test_every_slice_equals_scikit_learn() -> None:
    answers = posteriors()
    table, said = scored(answers), said_of(answers)
    assert table.schema == scores.SCHEMA
    assert one(table, "uar")["estimate"] == pytest.approx(oracle.balanced_accuracy_score(TRUE, said))
    for column in ("accent", "sex"):
        for value in SLICES[column].unique():
            here = (SLICES[column] == value).to_numpy()
            row = one(table, "uar", f"{column}={value}")
            assert row["estimate"] == pytest.approx(oracle.balanced_accuracy_score(TRUE[here], said[here]))
            assert row["n"] == here.sum()
    recalls = oracle.recall_score(TRUE, said, average=None)
    for k, label in enumerate(LABELS):
        row = one(table, "recall", f"label={label}")
        assert row["estimate"] == pytest.approx(recalls[k])
        assert row["n"] == (k == TRUE).sum()
        cell = one(table, "confusion", f"label={label},answer=angry")
        assert cell["estimate"] == pytest.approx(((k == TRUE) & (said == 0)).sum() / (k == TRUE).sum())
    assert set(table["reference"]) == {"corpus"}


def test_the_interval_is_that_of_the_speakers() -> None:
    answers = choices()
    row = one(scored(answers), "accuracy")
    right = said_of(answers) == TRUE
    parts = np.column_stack([right, np.ones(COUNT)]).astype(float)
    alone = stats.bootstrap(
        parts, list(SPEAKERS.values()), lambda s: s[..., 0] / s[..., 1], bounds=(0, 1), resamples=200
    )
    assert row["clusters"] == 6
    assert row["low"] < row["estimate"] < row["high"]
    assert (row["low"], row["high"]) == pytest.approx((alone.low, alone.high), abs=0.05)  # other order, other draws


def test_order_of_rows_and_names_of_speakers_change_nothing() -> None:
    answers = pl.concat([posteriors(1), posteriors(2, rater="n")])
    renamed = {u: f"x{(int(s[1]) * 5) % 6}" for u, s in SPEAKERS.items() if s is not None}
    table = scored(answers)
    shuffled = scored(
        answers.sample(fraction=1, shuffle=True, seed=3),
        reference().sample(fraction=1, shuffle=True, seed=4),
        clusters=renamed,
        slices=SLICES.sample(fraction=1, shuffle=True, seed=5),
    )
    assert table.equals(shuffled)


def test_a_rater_scores_the_same_whoever_else_is_scored() -> None:
    alone = scored(posteriors(1))
    together = scored(pl.concat([posteriors(1), posteriors(2, rater="n"), choices(3, rater="a")]))
    assert together.filter(pl.col("rater") == "m").equals(alone)


def test_listeners_are_scored_like_models() -> None:
    numbers = ["metric", "slice", "estimate", "low", "high", "n", "clusters"]
    assert scored(choices(source="listener")).select(numbers).equals(scored(choices(source="model")).select(numbers))


def test_forced_choices_have_no_calibration() -> None:
    assert not set(scored(choices())["metric"]) & {"ece", "brier", "cross_entropy", "jensen_shannon"}
    assert {"ece", "brier", "cross_entropy", "jensen_shannon"} < set(scored(posteriors())["metric"])


def test_trials_are_pooled_by_adding_parts() -> None:
    seeds = [choices(k, trial=k) for k in range(3)]
    table = scored(pl.concat(seeds))
    said = np.concatenate([said_of(s) for s in seeds])
    assert one(table, "macro_f1")["estimate"] == pytest.approx(oracle.f1_score(np.tile(TRUE, 3), said, average="macro"))
    assert one(table, "uar")["n"] == 3 * COUNT
    assert one(table, "uar")["clusters"] == 6


def test_layers_of_one_rater_are_apart_but_a_layer_chosen_by_fold_is_one_curve() -> None:
    curve = scored(pl.concat([choices(1, layer=0), choices(2, layer=1)]))
    rows = curve.filter(pl.col("metric") == "uar", pl.col("slice") == "all")
    assert rows["layer"].to_list() == [0, 1]
    assert rows["n"].to_list() == [COUNT, COUNT]
    assert one(scored(choices(1, layer=4)), "uar")["layer"] == 4
    selected = scored(choices(1, layer=[3 + k % 2 for k in range(COUNT)]))
    assert one(selected, "uar")["layer"] is None
    assert one(selected, "uar")["n"] == COUNT


def test_answers_without_a_reference_and_references_without_answers_are_left_out() -> None:
    half = reference().head(40)
    row = one(scored(choices().tail(40), half), "accuracy")
    assert row["n"] == 20
    assert scored(choices(), reference().clear()).is_empty()
    assert scored(choices().clear()).schema == scores.SCHEMA


def test_reference_labels_outside_the_target_leave_the_utterance_out() -> None:
    truth = reference(label=["fear" if k < 10 else LABELS[t] for k, t in enumerate(TRUE)])
    assert one(scored(choices(), truth), "uar")["n"] == COUNT - 10


def test_answers_outside_the_labels_count_as_wrong_and_show_in_the_confusion() -> None:
    answers = choices(label=["fear" if k == 0 else LABELS[t] for k, t in enumerate(TRUE)])
    table = scored(answers)
    assert one(table, "accuracy")["estimate"] == pytest.approx((COUNT - 1) / COUNT)
    cell = one(table, "confusion", f"label={LABELS[TRUE[0]]},answer=(other)")
    assert cell["estimate"] == pytest.approx(1 / (TRUE[0] == TRUE).sum())
    assert not table["slice"].str.contains("(other)", literal=True).sum() > 3
    assert not scored(choices())["slice"].str.contains("(other)", literal=True).any()


def test_several_references_for_one_utterance_are_refused() -> None:
    both = pl.concat([reference(), reference(rater="ann")])
    with pytest.raises(InvalidInput, match="one reference; pool several raters") as caught:
        scored(choices(), both)
    assert "u00" in str(caught.value)
    soft = predictions.pool(pl.concat([choices(1, rater="a"), choices(2, rater="b")]), "listeners")
    assert set(scored(choices(), soft)["reference"]) == {"listeners"}


def test_negative_weights_are_refused() -> None:
    answers = posteriors().with_columns(
        pl.when(pl.col("utterance") == "u03").then(-1.0).otherwise("value").alias("value")
    )
    with pytest.raises(InvalidInput, match="negative weight for utterance 'u03'"):
        scored(answers)


def test_utterances_without_a_speaker_are_clusters_of_their_own() -> None:
    unknown: dict[str, str | None] = {u: None for u in UTTERANCES[:5]}
    assert one(scored(choices(), clusters=SPEAKERS | unknown), "uar")["clusters"] == 6 + 5
    assert one(scored(choices(), clusters={}), "uar")["clusters"] == COUNT
    assert one(scored(choices(), clusters={u: u for u in UTTERANCES[1:]}), "uar")["clusters"] == COUNT


def test_one_speaker_has_no_interval() -> None:
    table = scored(choices(), clusters=dict.fromkeys(UTTERANCES, "anna"))
    assert table["estimate"].is_not_nan().any()
    assert table["low"].is_nan().all() and table["high"].is_nan().all()


def test_columns_that_are_absent_constant_or_empty_make_no_slices() -> None:
    chosen = StatisticsSettings(resamples=100, slices=("language", "dialect", "accent"))
    empty = SLICES.with_columns(accent=pl.lit(None, pl.String))
    assert not scored(choices(), slices=empty, statistics=chosen)["slice"].str.contains("=(en|US)").any()
    assert not scored(choices(), slices=None)["slice"].str.contains("accent").any()
    some = SLICES.with_columns(accent=pl.when(pl.col("sex") == "f").then("accent"))
    assert one(scored(choices(), slices=some), "uar", "accent=US")["n"] < 40
    assert one(scored(choices(), slices=some), "uar", "accent=US")["n"] == 20


def test_mean_over_groups_and_gap_between_best_and_worst() -> None:
    table = scored(choices())
    us, uk = (one(table, "uar", f"accent={a}")["estimate"] for a in ("US", "UK"))
    worst, best = ("US", "UK") if us < uk else ("UK", "US")
    gap = one(table, "uar_gap", f"accent={worst},accent={best}")
    assert gap["estimate"] == pytest.approx(abs(us - uk))
    assert gap["low"] < gap["estimate"] < gap["high"]
    assert one(table, "uar_mean", "accent=*")["estimate"] == pytest.approx((us + uk) / 2)
    assert gap["clusters"] == 6


def test_gap_of_speakers_in_both_groups_is_paired() -> None:
    # The same six speakers, far apart, are a little worse in one condition: only joint resamples see the gap.
    rng = np.random.default_rng(0)
    utterances = [f"u{k:03d}" for k in range(600)]
    hard = np.linspace(0.1, 0.9, 6)[np.arange(600) % 6] + 0.15 * (np.arange(600) // 300)
    truth = rng.normal(size=600)
    answers = truth + hard * np.where(rng.random(600) < 0.5, -1, 1)
    common = {"run": "r", "target": "v", "utterance": utterances}
    table = scores.score(
        predictions.table(common | {"source": "model", "rater": "m", "value": answers}),
        predictions.table(common | {"source": "reference", "rater": "corpus", "value": truth}),
        Target(name="v", kind="regression"),
        clusters={u: f"s{k % 6}" for k, u in enumerate(utterances)},
        slices=pl.DataFrame({"utterance": utterances, "noise": ["no"] * 300 + ["yes"] * 300}),
        statistics=StatisticsSettings(resamples=300, slices=("noise",)),
    )
    gap = one(table, "ccc_gap", "noise=yes,noise=no")
    sides = [one(table, "ccc", f"noise={v}") for v in ("yes", "no")]
    assert gap["low"] > 0
    assert gap["high"] - gap["low"] < 0.5 * min(side["high"] - side["low"] for side in sides)


def test_regression_and_transcription() -> None:
    rng = np.random.default_rng(0)
    common = {"run": "r", "utterance": UTTERANCES}
    x = rng.normal(size=COUNT)
    y = x + rng.normal(size=COUNT)
    table = scores.score(
        predictions.table(common | {"source": "model", "rater": "m", "target": "arousal", "value": y}),
        predictions.table(common | {"source": "reference", "rater": "c", "target": "arousal", "value": x}),
        Target(name="arousal", kind="regression"),
        clusters=SPEAKERS,
        statistics=FAST,
    )
    assert table["metric"].to_list() == ["ccc", "pearson", "mae", "rmse"]
    assert one(table, "pearson")["estimate"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    texts = [" ".join(rng.choice(["ja", "nee", "goed"], 5)) for _ in range(COUNT)]
    heard = [" ".join(rng.choice(["ja", "nee", "goed"], 5)) for _ in range(COUNT)]
    table = scores.score(
        predictions.table(common | {"source": "model", "rater": "m", "target": "text", "label": heard, "value": 1.0}),
        predictions.table(
            common | {"source": "reference", "rater": "c", "target": "text", "label": texts, "value": 1.0}
        ),
        Target(name="text", kind="transcription"),
        clusters=SPEAKERS,
        slices=SLICES,
        statistics=FAST,
    )
    assert one(table, "wer")["estimate"] == pytest.approx(jiwer.wer(texts, heard))
    here = [k for k in range(COUNT) if SLICES["accent"][k] == "UK"]
    uk = one(table, "wer", "accent=UK")["estimate"]
    assert uk == pytest.approx(jiwer.wer([texts[k] for k in here], [heard[k] for k in here]))
    gaps = table.filter(pl.col("metric") == "wer_gap", pl.col("slice").str.starts_with("accent="))
    assert gaps["estimate"].item() > 0


def compared(*frames: pl.DataFrame, **options: object) -> pl.DataFrame:
    names = [(f["run"][0], f["rater"][0]) for f in frames]
    pairs = [("f", *names[0], *name) for name in names[1:]]
    chosen = {"clusters": SPEAKERS, "statistics": FAST} | options
    return scores.compare(pl.concat(frames), reference(), EMOTION, pairs, **chosen)  # type: ignore[arg-type]


def test_differences_are_those_of_the_scores_and_of_stats() -> None:
    a, b = choices(1), posteriors(2, rater="n")
    row = compared(a, b).to_dicts()[0]
    uar = [one(scored(f), "uar")["estimate"] for f in (a, b)]
    assert row["difference"] == pytest.approx(uar[0] - uar[1])
    assert (row["n"], row["clusters"], row["metric"], row["slice"]) == (COUNT, 6, "uar", "all")
    from sibboleth.metrics import align
    from sibboleth.metrics.classification import UAR

    parts = [confusion(align(f, reference(), EMOTION).answers) for f in (a, b)]  # type: ignore[arg-type]
    direct = stats.paired(*parts, list(SPEAKERS.values()), UAR.rate, bounds=(0, 1), resamples=200)
    assert [row[k] for k in ("low", "high", "p")] == pytest.approx([direct.low, direct.high, direct.p])


def test_only_common_utterances_are_compared() -> None:
    a, b = choices(1).head(40), choices(2, rater="n").tail(40)
    row = compared(a, b).to_dicts()[0]
    assert row["n"] == 20
    assert compared(choices(1).head(10), choices(2, rater="n").tail(10)).select("n", "clusters").row(0) == (0, 0)


def test_more_trials_on_one_side_do_not_tip_the_scales() -> None:
    a, b = choices(1), choices(2, rater="n")
    twice = pl.concat([b, b.with_columns(pl.lit(1, pl.Int32).alias("trial"))])
    assert compared(a, twice).equals(compared(a, b))


def test_holm_is_taken_over_the_rows_of_a_family() -> None:
    frames = [choices(k, rater=f"m{k}") for k in range(4)]
    table = compared(*frames, slices=SLICES)
    assert set(table["slice"]) == {"all", "accent=UK", "accent=US", "sex=f", "sex=m"}
    assert table["p_holm"].to_list() == pytest.approx(stats.holm(table["p"].to_numpy()).tolist())
    two = scores.compare(
        pl.concat(frames),
        reference(),
        EMOTION,
        [("x", "r", "m0", "r", "m1"), ("y", "r", "m0", "r", "m2")],
        clusters=SPEAKERS,
        statistics=FAST,
        names=("uar", "accuracy"),
    )
    assert two.schema == scores.COMPARISON
    assert two["p_holm"].to_list() == two["p"].to_list()  # each family and metric has one row
    assert two["metric"].to_list() == ["uar", "accuracy"] * 2


def test_a_clear_effect_survives_the_correction_of_a_large_family() -> None:
    frames = [choices(0, rater="best", label=[LABELS[k] for k in TRUE])]
    frames += [choices(k, rater=f"m{k:02d}", label=[LABELS[k] for k in (TRUE + 1) % 3]) for k in range(30)]
    own = {u: f"s{k // 3}" for k, u in enumerate(UTTERANCES)}
    table = compared(*frames, clusters=own)
    assert len(table) == 30
    assert table["p_holm"].max() <= 0.05  # type: ignore[operator]
    assert compared(*frames[:2], clusters=own)["p"].item() == pytest.approx(1 / 201, rel=0.01)


def test_no_pairs_and_unknown_names() -> None:
    assert compared(choices()).schema == scores.COMPARISON
    assert compared(choices()).is_empty()
    with pytest.raises(SibbolethError, match="rater 'nobody' of run 'r'"):
        scores.compare(choices(), reference(), EMOTION, [("f", "r", "m", "r", "nobody")], clusters={})
    with pytest.raises(SibbolethError, match="no metric f1; for classification there are uar, accuracy"):
        scores.compare(choices(), reference(), EMOTION, [], clusters={}, names=("f1",))


def test_worst_utterances() -> None:
    said = {"m1": ["sad", "sad", "angry"], "m2": ["sad", "happy", "angry"], "m3": ["happy", "happy", "angry"]}
    answers = pl.concat([
        predictions.table({"run": "r", "source": "model", "rater": rater, "utterance": UTTERANCES[:3],
                           "target": "emotion", "label": labels, "value": 1.0})
        for rater, labels in said.items()
    ])  # fmt: skip
    truth = reference().head(3).with_columns(label=pl.Series(["angry", "happy", "angry"]))
    table = scores.worst(answers, truth, EMOTION)
    assert table.rows() == [
        ("u00", "angry", 1.0, 3, 3, "sad"),
        ("u01", "happy", pytest.approx(1 / 3), 3, 1, "sad"),
        ("u02", "angry", 0.0, 3, 0, None),
    ]
    assert scores.worst(answers, truth, EMOTION, count=1)["utterance"].to_list() == ["u00"]
    assert scores.worst(answers.reverse(), truth, EMOTION).equals(table)


def test_judged_answers_are_those_that_worst_counts() -> None:
    answers = pl.concat([choices(1), choices(2, rater="n")])
    judged = scores.judge(answers, reference(), EMOTION)
    counted = judged.group_by("utterance").agg(pl.len().cast(pl.Int64).alias("answers"), pl.col("wrong").sum())
    table = scores.worst(answers, reference(), EMOTION).select("utterance", "answers", "wrong")
    assert counted.cast({"wrong": pl.Int64}).sort("utterance").equals(table.sort("utterance"))
    assert (judged["wrong"] == (judged["answer"] != judged["reference"])).all()


def test_worst_numbers_and_texts() -> None:
    common = {"run": "r", "utterance": ["a", "b"], "target": "x"}
    numbers = scores.worst(
        predictions.table(common | {"source": "model", "rater": "m", "value": [1.0, 5.0]}),
        predictions.table(common | {"source": "reference", "rater": "c", "value": [1.0, 2.0]}),
        Target(name="x", kind="regression"),
    )
    assert numbers.select("utterance", "reference", "error", "wrong").rows() == [("b", "2", 3, 1), ("a", "1", 0, 0)]
    assert numbers["answer"].to_list() == [None, None]
    texts = scores.worst(
        predictions.table(common | {"source": "model", "rater": "m", "label": ["ja", "nee nee"], "value": 1.0}),
        predictions.table(common | {"source": "reference", "rater": "c", "label": ["ja goed", ""], "value": 1.0}),
        Target(name="x", kind="transcription"),
    )
    assert texts.select("utterance", "error", "answer").rows() == [("a", 0.5, "ja"), ("b", None, "nee nee")]


PEOPLE = [f"l{k}" for k in range(5)]
GROUP = {("test", "5 people"): [("test", name) for name in PEOPLE]}


def listeners(run: str = "test", first: int = 10) -> pl.DataFrame:
    return pl.concat([choices(first + k, run=run, source="listener", rater=name) for k, name in enumerate(PEOPLE)])


def test_a_group_is_scored_by_all_its_answers_with_people_resampled() -> None:
    answers = listeners()
    table = scored(answers, groups=GROUP)
    together = table.filter(pl.col("rater") == "5 people")
    row, alone = one(together, "uar"), one(table.filter(pl.col("rater") == "l0"), "uar")
    assert (row["n"], row["clusters"], row["raters"], alone["raters"]) == (5 * COUNT, 6, 5, 1)
    said = np.concatenate([said_of(answers.filter(pl.col("rater") == name)) for name in PEOPLE])
    assert row["estimate"] == pytest.approx(oracle.balanced_accuracy_score(np.tile(TRUE, 5), said))
    # The same answers taken for trials of one rater: only speakers are resampled.
    trials = pl.concat([choices(10 + k, trial=k) for k in range(5)])
    pooled = one(scored(trials), "uar")
    assert row["estimate"] == pytest.approx(pooled["estimate"])
    assert row["high"] - row["low"] != pytest.approx(pooled["high"] - pooled["low"], rel=0.01)
    assert {"recall", "confusion", "uar_gap", "uar_mean"} <= set(together["metric"])
    assert together.filter(pl.col("slice") == "accent=*")["low"].is_not_nan().all()
    assert scored(answers).equals(table.filter(pl.col("rater") != "5 people"))


def test_a_group_of_one_person_is_that_person() -> None:
    table = scored(choices(), groups={("r", "all"): [("r", "m")]})
    numbers = ["metric", "slice", "estimate", "low", "high", "n", "clusters", "raters"]
    mine, group = (table.filter(pl.col("rater") == name).select(numbers) for name in ("m", "all"))
    assert group.equals(mine)


def test_order_of_answers_and_names_of_people_change_nothing_for_a_group() -> None:
    numbers = ["metric", "slice", "estimate", "low", "high", "n", "clusters", "raters"]
    names = dict(zip(PEOPLE, reversed([f"x{k}" for k in range(5)]), strict=True))
    renamed = listeners().with_columns(pl.col("rater").replace(names)).sample(fraction=1, shuffle=True, seed=1)
    others = {("test", "5 people"): [("test", name) for name in sorted(names.values())]}
    table, again = (
        scored(answers, groups=group).filter(pl.col("rater") == "5 people").select(numbers)
        for answers, group in ((listeners(), GROUP), (renamed, others))
    )
    assert table.equals(again)


def test_people_who_heard_different_utterances_are_scored_on_what_they_heard() -> None:
    frames = [
        choices(10 + k, run="test", source="listener", rater=name)[k * 6 : k * 6 + 30] for k, name in enumerate(PEOPLE)
    ]
    answers = pl.concat([*frames, choices(99)])
    table = scored(answers, groups=GROUP)
    row = one(table.filter(pl.col("rater") == "5 people"), "accuracy")
    assert row["n"] == 150 and row["low"] < row["estimate"] < row["high"]
    pair = [("f", "test", "5 people", "r", "m")]
    compared_ = scores.compare(
        answers, reference(), EMOTION, pair, clusters=SPEAKERS, statistics=FAST, names=("accuracy",), groups=GROUP
    ).to_dicts()[0]
    # By hand: every utterance weighs one, shared by those who heard it.
    heard = {u: [] for u in UTTERANCES}  # type: ignore[var-annotated]
    for frame in frames:
        for utterance, said in zip(frame["utterance"], frame["label"], strict=True):
            heard[utterance].append(said == LABELS[TRUE[UTTERANCES.index(utterance)]])
    known = [u for u in UTTERANCES if heard[u]]
    model = dict(zip(choices(99)["utterance"], choices(99)["label"], strict=True))
    people = np.mean([np.mean(heard[u]) for u in known])
    machine = np.mean([model[u] == LABELS[TRUE[UTTERANCES.index(u)]] for u in known])
    assert compared_["difference"] == pytest.approx(people - machine)
    assert (compared_["n"], compared_["a_raters"], compared_["b_raters"]) == (len(known), 5, 1)
    assert compared_["low"] < compared_["difference"] < compared_["high"] and 0 < compared_["p"] <= 1


def test_groups_of_the_same_people_are_paired_and_others_are_not() -> None:
    noisy = listeners("noise", 40)
    other = noisy.with_columns(pl.col("rater") + "x")
    answers = pl.concat([listeners(), noisy])
    strangers = pl.concat([listeners(), other])
    table = [
        scores.compare(
            frame,
            reference(),
            EMOTION,
            [("f", "test", "5 people", "noise", "5 people")],
            clusters=SPEAKERS,
            statistics=FAST,
            groups=GROUP | {("noise", "5 people"): [("noise", name + x) for name in PEOPLE]},
        ).to_dicts()[0]
        for frame, x in ((answers, ""), (strangers, "x"))
    ]
    assert table[0]["difference"] == pytest.approx(table[1]["difference"])
    assert table[0]["low"] != table[1]["low"]


def test_groups_that_cannot_be_are_refused() -> None:
    with pytest.raises(SibbolethError, match="rater 'm' of run 'r' is no name for a group"):
        scored(choices(), groups={("r", "m"): [("r", "m")]})
    with pytest.raises(SibbolethError, match="rater 'all' of run 'r' answered nothing"):
        scores.compare(
            choices(),
            reference(),
            EMOTION,
            [("f", "r", "m", "r", "all")],
            clusters={},
            groups={("r", "all"): [("r", "nobody")]},
        )
