import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sibboleth import predictions
from sibboleth.errors import InvalidInput


def rows(**columns: object) -> pl.DataFrame:
    return predictions.table(
        {"run": "r", "source": "listener", "rater": "ann", "target": "emotion", "value": 1.0} | columns
    )


def test_scalars_fill_and_absent_columns_are_null() -> None:
    frame = rows(utterance=["a", "b"], label=["sad", "sad"])
    assert frame.schema == predictions.SCHEMA
    assert frame["trial"].to_list() == [0, 0]
    assert frame["layer"].to_list() == [None, None]
    assert rows(utterance="a", label="sad").height == 1


def test_a_valid_table_passes_and_keeps_extra_columns() -> None:
    frame = rows(utterance=["a", "b"], label=["sad", "sad"]).with_columns(seconds=pl.Series([1.5, 2.5]))
    assert predictions.validate(frame).columns == [*predictions.SCHEMA, "seconds"]


def test_optional_columns_may_be_absent() -> None:
    frame = rows(utterance=["a"], value=[3.5]).select("run", "source", "rater", "utterance", "target", "value")
    assert predictions.validate(frame)["trial"].to_list() == [0]


def test_missing_columns_are_named_all_at_once() -> None:
    with pytest.raises(InvalidInput, match="not a predictions table") as caught:
        predictions.validate(pl.DataFrame({"run": ["r"], "utterance": ["a"]}), "mine.csv")
    assert [p.message for p in caught.value.problems] == [
        f"column {c!r} is missing" for c in ("source", "rater", "target", "value")
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("source", "human", "source must be one of model, listener, reference, simulated"),
        ("source", "", "source must be"),
        ("utterance", "", "utterance is empty"),
        ("rater", "", "rater is empty"),
        ("value", "much", "value must be a finite number"),
        ("value", "nan", "value must be a finite number"),
        ("value", "inf", "value must be a finite number"),
        ("value", "", "value must be a finite number"),
        ("trial", "first", "trial must be a whole number"),
        ("layer", "top", "layer must be a whole number"),
        ("start", "0:01", "start must be a number of seconds"),
    ],
)
def test_a_bad_cell_is_found_with_its_line_and_field(tmp_path: Path, field: str, value: str, message: str) -> None:
    good = {"run": "r", "source": "model", "rater": "m", "utterance": "a", "start": "", "end": "", "target": "t",
            "trial": "0", "layer": "3", "label": "sad", "value": "1"}  # fmt: skip
    file = tmp_path / "p.csv"
    lines = [good, good | {"utterance": "b", field: value}, good | {"utterance": "c"}]
    file.write_text("\n".join([",".join(good), *(",".join(line.values()) for line in lines)]) + "\n")
    with pytest.raises(InvalidInput) as caught:
        predictions.read(file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.row, problem.field) == (str(file), 3, field)
    assert problem.message.startswith(message)


def test_two_rows_of_one_key_are_both_named() -> None:
    with pytest.raises(InvalidInput, match="2 bad rows") as caught:
        predictions.validate(rows(utterance=["a", "b", "a"], label=["sad", "sad", "sad"]))
    assert [p.row for p in caught.value.problems] == [1, 3]
    frame = rows(utterance=["a", "a"], label=["sad", "sad"], trial=[0, 1])
    assert len(predictions.validate(frame)) == 2


def test_read_gives_back_what_was_written(tmp_path: Path) -> None:
    frame = rows(utterance=["a", "b"], label=["sad", 'he said "no", twice'], value=[0.1 + 0.2, 1e-17], layer=[3, None])
    frame.write_parquet(tmp_path / "p.parquet")
    frame.write_csv(tmp_path / "p.csv")
    frame.write_csv(tmp_path / "p.tsv", separator="\t")
    for name in ("p.parquet", "p.csv", "p.tsv"):
        assert predictions.read(tmp_path / name).equals(frame), name


def test_unreadable_files_are_errors_that_name_them(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "odd.parquet").write_text("not parquet")
    for name in ("absent.csv", "empty.csv", "odd.parquet"):
        with pytest.raises(InvalidInput, match=name):
            predictions.read(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "values", "told"),
    [
        ("run", [["a"]], "List"),
        ("utterance", [b"\xff"], "Binary"),
        ("start", [datetime.timedelta(1)], "Duration"),
        ("value", [{"x": 1.0}], "Struct"),
        ("value", pl.Series(["1"], dtype=pl.Categorical), "Categorical"),
    ],
)
def test_a_column_of_another_type_is_named(field: str, values: object, told: str) -> None:
    odd = rows(utterance="a", label="sad").with_columns(pl.Series(field, values))
    with pytest.raises(InvalidInput, match=rf"column '{field}' must be of (String|Float64), not {told}"):
        predictions.validate(odd)


def test_decide_keeps_the_heaviest_and_breaks_ties_alphabetically() -> None:
    frame = rows(utterance=["a", "a", "b", "b"], label=["sad", "angry", "sad", "angry"], value=[0.6, 0.4, 0.5, 0.5])
    for shuffled in (frame, frame.reverse()):
        assert predictions.decide(shuffled)["label"].to_list() == ["sad", "angry"]
    number = rows(utterance=["a"], value=[2.5])
    assert predictions.decide(number).equals(number)


def test_pool_makes_soft_labels_in_which_each_listener_counts_once() -> None:
    frame = rows(
        rater=["ann", "ann", "ben", "cem", "cem", "cem"],
        utterance="u",
        label=["sad", "angry", "sad", "sad", "happy", "happy"],
        trial=[0, 0, 0, 0, 1, 2],
        value=[1.0, 1.0, 3.0, 1.0, 1.0, 1.0],
    )
    pooled = predictions.pool(frame, "listeners")
    expected = {"angry": 1 / 6, "happy": 2 / 9, "sad": (1 / 2 + 1 + 1 / 3) / 3}
    assert dict(pooled.select("label", "value").rows()) == pytest.approx(expected)
    assert set(pooled["rater"]) == {"listeners"}
    assert predictions.pool(frame.sample(fraction=1, shuffle=True, seed=1), "listeners").equals(pooled)


def test_pooling_one_rater_changes_only_the_name_and_numbers_are_averaged() -> None:
    one = rows(utterance=["a", "b"], label=["sad", "happy"])
    assert predictions.pool(one, "ann").equals(one.sort(predictions.KEY))
    two = rows(rater=["ann", "ben"], utterance="a", value=[1.0, 4.0])
    assert predictions.pool(two, "both")["value"].to_list() == [2.5]


def test_pool_leaves_out_answers_without_weight() -> None:
    frame = rows(rater=["ann", "ben"], utterance="a", label=["sad", "happy"], value=[0.0, 2.0])
    assert predictions.pool(frame, "both").select("label", "value").rows() == [("happy", 1.0)]


def test_weights_are_one_row_per_answer_and_sum_to_one() -> None:
    frame = rows(utterance=["b", "b", "a", "c", "d"], label=["sad", "angry", "sad", "fear", "sad"],
                 value=[3.0, 1.0, 1.0, 1.0, 0.0])  # fmt: skip
    answers, matrix = predictions.weights(frame, ["angry", "sad"])
    assert answers["utterance"].to_list() == ["a", "b", "c", "d"]
    assert answers.columns == list(predictions.ANSWER)
    np.testing.assert_array_equal(matrix, [[0, 1], [0.25, 0.75], [np.nan, np.nan], [np.nan, np.nan]])


def test_labels_may_be_called_like_columns() -> None:
    _, matrix = predictions.weights(rows(utterance=["a", "b"], label=["start", "value"]), ["start", "value"])
    assert matrix.tolist() == [[1, 0], [0, 1]]


def test_shares_keep_what_lies_outside() -> None:
    frame = rows(utterance="a", label=["sad", "fear", "disgust"], value=[2.0, 5.0, 3.0])
    _, matrix, outside = predictions.shares(frame, ["angry", "sad"])
    assert matrix.tolist() == [[0, 0.2]]
    assert outside.tolist() == [0.5]


def test_no_rows_no_answers() -> None:
    answers, matrix = predictions.weights(rows(utterance="a", label="x").clear(), ["angry", "sad"])
    assert (len(answers), matrix.shape) == (0, (0, 2))
