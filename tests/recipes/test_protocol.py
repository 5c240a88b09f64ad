"""Protocols end to end: a study is written from one, run, and its report has the published numbers beside its own."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from sklearn.metrics import accuracy_score

from sibboleth import predictions
from sibboleth import study as studies
from sibboleth.errors import InvalidInput, RefusedByAudit
from sibboleth.recipes import protocol
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

PITCH = {"ang": 100, "hap": 140, "exc": 145, "neu": 190, "sad": 240, "fru": 300}


def speech(folder: Path, corpus: str = "iemocap", labels: tuple[str, ...] = tuple(PITCH), each: int = 2) -> Path:
    """Write buzzes in the shape of IEMOCAP: five sessions of two speakers, six labels of which one is not used."""
    random = np.random.default_rng(3)
    rows = []
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for session in range(1, 6):
        for sex in "FM":
            for label in labels:
                for take in range(each):
                    pitch = PITCH[label] * (1.5 if sex == "F" else 1) * random.uniform(0.9, 1.1)
                    time = np.arange(int(16000 * random.uniform(0.2, 0.35))) / 16000
                    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
                    name = f"Ses0{session}{sex}_{label}{take}"
                    noise = random.normal(0, 0.02, len(time))
                    soundfile.write(folder / "audio" / f"{name}.wav", 0.1 * tone + noise, 16000)
                    rows.append((name, f"audio/{name}.wav", f"Ses0{session}{sex}", f"Ses0{session}", label))
    names = ["utterance", "audio", "speaker", "session", "emotion"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(folder / f"{corpus}.csv")
    return folder / f"{corpus}.csv"


def only_logmel(path: Path) -> Path:
    """Leave the control alone in a study file, so that nothing is downloaded."""
    head, _, rest = path.read_text().partition('\n[[encoders]]\nname = "facebook')
    path.write_text(head + "\n\n[probe]" + rest.partition("\n[probe]")[2])
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    speech(folder)
    return folder


@pytest.mark.parametrize("name", ["superb-er", "iemocap-loso"])
def test_a_written_study_runs_to_a_report_with_the_block(made: Path, name: str) -> None:
    file = protocol.write(name, manifest=(f"iemocap={made / 'iemocap.csv'}",), output=made / f"{name}.toml")
    assert isinstance(file, Path)
    asked = studies.read(only_logmel(file))
    assert asked.corpora[0].labels == {"ang": "angry", "exc": "happy", "hap": "happy", "neu": "neutral"}
    html = run(file, output=made / name).read_text()
    directory = RunDirectory(made / name)
    record = directory.read()
    assert record["protocol"]["title"] == asked_title(name)
    assert {row["reason"] for row in record["excluded"]} == {"label fru is not asked for"}
    assert f"Published protocol: {asked_title(name)}" in html
    assert "100 utterances of 10 speakers" in html and "5,531 utterances of 10 speakers" in html
    assert "may not be compared" in html
    csv = pl.read_csv(directory / "tables" / "published.csv").filter(encoder="logmel")
    table = directory.table("predictions")
    truth = table.filter(source="reference").select("utterance", truth="label")
    mine = predictions.decide(table.filter((pl.col("source") == "model") & (pl.col("rater") == "selected")))
    joined = mine.join(truth, on="utterance")
    assert joined.height == 100
    assert csv["selected"][0] == pytest.approx(accuracy_score(joined["truth"], joined["label"]))
    assert csv["selected_low"][0] <= csv["selected"][0] <= csv["selected_high"][0]
    assert csv["published"].null_count() == 1
    others = pl.read_csv(directory / "tables" / "published-others.csv")
    assert others.filter(encoder="microsoft/wavlm-large")["published"].max() == 0.7062
    follows = pl.read_csv(directory / "tables" / "protocol-differences.csv")
    marks = dict(follows.select("What", "How far").rows())
    assert marks["Material"] == "other task or test"
    assert marks["Labels"] == marks["Test folds"] == marks["Dev"] == marks["Probe"] == "same"
    warned = {finding["name"] for finding in json.loads((directory / "audit.json").read_text())}
    assert ("dev-shares-speakers" in warned) == (name == "superb-er")


def asked_title(name: str) -> str:
    shown: str = protocol.show(name).protocol.title
    return shown


def test_emoboxs_leaking_lists_stop_the_run_until_the_user_allows_them(tmp_path: Path) -> None:
    manifest = speech(tmp_path, "emodb", ("ang", "neu", "sad"))
    table = pl.read_csv(manifest)
    for fold in range(5):
        for part in ("train", "test"):
            rows = [u for i, u in enumerate(table["utterance"]) if (i % 5 == fold) == (part == "test")]
            place = tmp_path / "data" / "emodb" / f"fold_{fold + 1}" / f"emodb_{part}_fold_{fold + 1}.jsonl"
            place.parent.mkdir(parents=True, exist_ok=True)
            told = [{"key": f"emodb-{u}", "dataset": "emodb", "wav": f"downloads/emodb/wav/{u}.wav"} for u in rows]
            place.write_text("\n".join(map(json.dumps, told)) + "\n")
    lists = tmp_path / "data" / "emodb"
    file = protocol.write("emobox", manifest=(f"emodb={manifest}",), lists=lists, output=tmp_path / "study.toml")
    assert isinstance(file, Path)
    assert '# allow = ["shared-speakers"]' in file.read_text()
    only_logmel(file)
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        run(file, output=tmp_path / "run")
    allowed = 'allow = ["shared-speakers", "shared-sessions"]'
    file.write_text(
        file.read_text().replace('# allow = ["shared-speakers"]', allowed).replace("[128]", "[8]\nepochs = 2")
    )
    html = run(file, output=tmp_path / "run").read_text()
    assert "In emodb all 10 speakers of the test also train" in html
    follows = pl.read_csv(tmp_path / "run" / "tables" / "protocol-differences.csv")
    marks = dict(follows.select("What", "How far").rows())
    assert marks["Test folds"] == "same"
    assert marks["Labels"] == marks["Material"] == "other task or test"


def test_without_a_file_the_study_is_text_and_reads_back(made: Path, tmp_path: Path) -> None:
    text = str(protocol.write("superb-er", manifest=(f"IEMOCAP={made / 'iemocap.csv'}",)))
    (tmp_path / "study.toml").write_text(text)
    read = studies.read(tmp_path / "study.toml")
    assert read.protocol == "superb-er"
    assert [encoder.name for encoder in read.encoders] == ["logmel", "facebook/wav2vec2-base"]
    assert read.corpora[0].manifest == made / "iemocap.csv"
    assert "# name = " in text and "allow = [" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"session": None}, "needs the column 'session'"),
        ({"emotion": "ang"}, "nothing in 'emotion' is happy or neutral or sad"),
    ],
)
def test_a_manifest_that_lacks_what_the_protocol_needs_is_told(
    made: Path, tmp_path: Path, change: dict[str, str | None], said: str
) -> None:
    table = pl.read_csv(made / "iemocap.csv").with_columns(pl.lit(v, pl.String).alias(k) for k, v in change.items())
    table = table.with_columns(pl.concat_str(pl.lit(f"{made}/"), "audio").alias("audio"))
    table.write_csv(tmp_path / "m.csv")
    with pytest.raises(InvalidInput, match=said):
        protocol.write("superb-er", manifest=(f"iemocap={tmp_path / 'm.csv'}",))


def test_wrong_uses_are_told(made: Path) -> None:
    manifest = f"iemocap={made / 'iemocap.csv'}"
    with pytest.raises(InvalidInput, match="the corpora of superb-er are iemocap"):
        protocol.write("superb-er", manifest=(f"emodb={made / 'iemocap.csv'}",))
    with pytest.raises(InvalidInput, match="write CORPUS=PATH"):
        protocol.write("superb-er", manifest=("iemocap",))
    with pytest.raises(InvalidInput, match="needs split lists"):
        protocol.write("emobox", manifest=(manifest,))
    with pytest.raises(InvalidInput, match="takes no --lists"):
        protocol.write("superb-er", manifest=(manifest,), lists=made)
    with pytest.raises(InvalidInput, match="there are emobox, iemocap-loso, superb-er"):
        protocol.show("superb")
    with pytest.raises(InvalidInput, match="no column 'mood'"):
        protocol.write("superb-er", manifest=(manifest,), label="mood")


def test_all_protocols_are_listed() -> None:
    assert list(protocol.names().all) == ["emobox", "iemocap-loso", "superb-er"]
