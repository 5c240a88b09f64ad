"""Names: labels and speakers that manifests write in several ways, and speakers who are names of files."""

from collections.abc import Callable

import polars as pl

from sibboleth import splits
from sibboleth.audit import Finding, audit
from sibboleth.splits import Fit
from sibboleth.targets import Target

Audited = Callable[..., dict[str, Finding]]
Make = Callable[..., pl.DataFrame]


def respelled(table: pl.DataFrame, column: str, every: int = 2) -> pl.DataFrame:
    """Write each value of a column in capitals in some rows."""
    some = pl.int_range(pl.len()) % every == 0
    return table.with_columns(pl.when(some).then(pl.col(column).str.to_uppercase()).otherwise(column).alias(column))


def test_labels_in_capitals_are_an_error_that_says_how_to_translate_them(make: Make, audited: Audited) -> None:
    table = make(each=4)
    finding = audited(respelled(table, "emotion"))["alike-labels"]
    assert finding.grade == "error" and finding.count == len(table)
    assert finding.message.startswith("2 labels written in several ways") and "ANGRY and angry" in finding.message
    assert 'labels = { "ANGRY" = "angry" }' in finding.effect


def test_a_label_that_is_left_out_for_its_spelling_is_named(make: Make) -> None:
    reasons = ["label Sad is not asked for", "label bored is not asked for"]
    excluded = pl.DataFrame({"utterance": ["A/x", "A/y"], "reason": reasons})
    target = Target(name="emotion", labels=("angry", "sad"))
    (finding,) = (
        one
        for one in audit(make(), (), target=target, domain="corpus", excluded=excluded)
        if one.name == "alike-labels"
    )
    assert "1 label written" in finding.message and "A/x" in finding.utterances and "A/y" not in finding.utterances


def test_a_speaker_under_two_names_is_an_error_where_it_leaks(make: Make, audited: Audited) -> None:
    table = make(each=4)
    finding = audited(respelled(table, "speaker"))["alike-speakers"]
    assert finding.grade == "error" and "A/S00 and A/s00" in finding.message


def test_a_speaker_under_two_names_within_one_part_is_a_warning(make: Make, audited: Audited) -> None:
    table = make(each=4, domains="A")
    rows = table.select(pl.int_range(pl.len()), part=pl.col("speaker").str.slice(-2).cast(pl.Int64) // 4).to_dict(
        as_series=True
    )
    train, dev, test = (rows["literal"].filter(rows["part"] == part).to_numpy() for part in range(3))
    fit = Fit("A", "fold-1", train, dev, (splits.Test("within", "A", test),))
    assert audited(respelled(table, "speaker"), (fit,))["alike-speakers"].grade == "warning"


def test_speakers_of_two_corpora_are_never_alike(make: Make, audited: Audited) -> None:
    assert not {"alike-speakers", "alike-labels", "lone-utterances"} & set(audited(make()))


def test_a_speaker_for_every_utterance_is_a_warning_and_names_of_files_are_told(make: Make, audited: Audited) -> None:
    table = make()
    files = table.with_columns(
        pl.format("{}/{}", "corpus", pl.col("audio").str.extract(r"(\d+)\.wav$")).alias("speaker")
    )
    finding = audited(files)["lone-utterances"]
    assert finding.grade == "warning" and finding.message.count("each called as its file") == 2
    own = table.with_columns(pl.format("{}/x{}", "corpus", pl.int_range(pl.len())).alias("speaker"))
    assert "file" not in audited(own)["lone-utterances"].message
