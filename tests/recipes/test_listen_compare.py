"""`sibboleth listen compare`: from files of anybody to a summary and tables."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from tests.panels import simulate
from tests.scores.people.test_people import LABELS, listeners, model, reference_of, speakers_of, truth_of

from sibboleth import cli
from sibboleth.errors import InvalidInput
from sibboleth.recipes.listen_compare import Compared, listen_compare
from sibboleth.scores import people

TRUTH = truth_of(32)


def page(result: Compared) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(result)
    return capture.get()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.csv" for name in ("people", "models", "manifest", "listeners")}
    answers = simulate(TRUTH, LABELS, listeners(6), ability=dict.fromkeys(listeners(6), 1.0), target="emotion")
    answers.with_columns(source=pl.lit("listener")).write_csv(paths["people"])
    layers = [model(TRUTH, name, skill) for name, skill in (("layer-00", 0.5), ("layer-01", 1.5), ("selected", 1.5))]
    pl.concat(layers).write_csv(paths["models"])
    manifest = {"utterance": list(TRUTH), "speaker": list(speakers_of(TRUTH).values()), "emotion": list(TRUTH.values())}
    pl.DataFrame(manifest).with_columns(
        audio=pl.col("utterance") + ".wav",
        dialect=pl.when(pl.col("speaker").is_in(["u0", "u1", "u2", "u3"])).then(pl.lit("TJ")).otherwise(pl.lit("CN")),
    ).write_csv(paths["manifest"])
    who = {"rater": listeners(6), "native": ["yes", "no"] * 3, "excluded": [False] * 5 + [True]}
    pl.DataFrame(who).write_csv(paths["listeners"])
    return paths


def test_everything_is_shown_and_written(files: dict[str, Path], tmp_path: Path) -> None:
    result = listen_compare(
        files["people"],
        files["models"],
        reference=files["manifest"],
        listeners=files["listeners"],
        group=("native",),
        domain="dialect",
        resamples=100,
        output=tmp_path / "tables",
    )
    shown = page(result)
    for said in (
        "Alpha nominal",
        "native=yes",
        "attentive",
        "TJ",
        "Odds ratio",
        "run/selected",
        "2 single layers left out",
    ):
        assert said in shown, said
    assert "layer-00" not in shown and "simulated" not in shown
    assert set(result.tables.domains["domain"]) == {"CN", "TJ", "all"}  # the same labels, so together as well
    for name, columns in people.TABLES.items():
        assert pl.read_csv(tmp_path / "tables" / f"{name}.csv").columns == list(columns)
    domains = pl.read_csv(tmp_path / "tables" / "domains.csv")
    assert domains["labels"].unique().to_list() == ["angry; happy; neutral; sad"]


def test_a_plain_table_of_answers_is_one_of_people(files: dict[str, Path], tmp_path: Path) -> None:
    plain = tmp_path / "ratings.csv"
    pl.read_csv(files["people"]).select("utterance", listener="rater", response="label").write_csv(plain)
    both = [
        listen_compare(path, files["models"], reference=files["manifest"], target="emotion", resamples=100).tables
        for path in (plain, files["people"])
    ]
    for name in ("agreement", "ceiling", "disputed"):
        left, right = (getattr(tables, name).drop("run", strict=False) for tables in both)
        assert left.equals(right), name


def test_a_run_directory_brings_its_reference(files: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    answers = pl.concat([model(TRUTH, "selected", 1.5), reference_of(TRUTH)])
    answers.write_parquet(run / "predictions.parquet")
    pl.read_csv(files["manifest"]).write_parquet(run / "utterances.parquet")
    result = listen_compare(files["people"], run, resamples=100)
    assert result.tables.ceiling["rater"].unique().is_in(["selected"]).any()
    assert result.tables.domains["speakers"].to_list() == [8]


def test_simulated_listeners_are_said_to_be(files: dict[str, Path]) -> None:
    answers = pl.read_csv(files["people"]).with_columns(source=pl.lit("simulated"))
    answers.write_csv(files["people"])
    result = listen_compare(files["people"], files["models"], reference=files["manifest"], resamples=100)
    assert "WARNING: these listeners are simulated" in page(result)


def test_what_cannot_be_compared_is_said(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="--listeners FILE"):
        listen_compare(files["people"], files["models"], reference=files["manifest"], group=("native",))
    with pytest.raises(InvalidInput, match="is a file"):
        listen_compare(files["people"], files["models"], reference=files["manifest"], output=files["people"])
    paths = [str(files[name]) for name in ("people", "models")]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["listen", "compare", *paths, "--reference", str(files["manifest"]), "--domain", "region"])
    assert stopped.value.code == cli.WRONG_USE
    assert "region" in capsys.readouterr().err


def test_domains_with_more_labels_are_warned_of(files: dict[str, Path]) -> None:
    manifest = pl.read_csv(files["manifest"]).with_columns(
        emotion=pl.when((pl.col("dialect") == "TJ") & (pl.col("emotion") == "sad"))
        .then(pl.lit("angry"))
        .otherwise("emotion")
    )
    manifest.write_csv(files["manifest"])
    result = listen_compare(
        files["people"], files["models"], reference=files["manifest"], domain="dialect", resamples=100
    )
    assert "chance differs" in page(result)
    assert np.isclose(result.tables.domains.sort("domain")["chance"].to_list(), [1 / 4, 1 / 3]).all()


def test_models_in_the_place_of_people_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match="its answers are of source model, and people's come first"):
        listen_compare(files["models"], files["people"], reference=files["manifest"], resamples=100)
    with pytest.raises(InvalidInput, match="no answer of a model"):
        listen_compare(files["people"], files["people"], reference=files["manifest"], resamples=100)


def test_segments_are_compared_as_labels_are(tmp_path: Path) -> None:
    items = [f"u{k}" for k in range(6)]
    lines = ["utterance,rater,start,end,label"]
    lines += [f"{u},{who},{late},3.0,sad" for u in items for who, late in (("ann", 1.0), ("bob", 1.5))]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    lines = ["utterance,start,end,label", *(f"{u},1.0,2.0,sad" for u in items)]
    (tmp_path / "model.csv").write_text("\n".join(lines) + "\n")
    true = '"[{""start"": 1.0, ""end"": 3.0, ""label"": ""sad""}]"'
    lines = ["utterance,audio,speaker,duration,segments", *(f"{u},{u}.wav,s{u[1]},4.0,{true}" for u in items)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    where = {"reference": tmp_path / "manifest.csv", "resamples": 100}
    result = listen_compare(tmp_path / "people.csv", tmp_path / "model.csv", **where)  # type: ignore[arg-type]
    ceiling = result.tables.ceiling.filter(metric="eder").row(0, named=True)
    assert ceiling["estimate"] == pytest.approx(0.5 / 4)
    paired = result.tables.differences.filter(metric="eder", slice="all").row(0, named=True)
    assert paired["difference"] == pytest.approx(1.0 / 4 - 0.25 / 4)
    assert "each against each of the others: the ceiling" in page(result) and "EDER of people and models" in page(
        result
    )
