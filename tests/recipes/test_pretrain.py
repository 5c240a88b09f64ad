"""`sibboleth pretrain`: speech without labels in, an encoder for every other verb out."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from sibboleth.cli import main
from sibboleth.models.encoders import load
from sibboleth.models.pretraining import start, watch
from sibboleth.recipes import pretrain as recipe
from sibboleth.recipes.encode import encode
from sibboleth.recipes.pretrain import pretrain
from sibboleth.recipes.report import report
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory
from sibboleth.study import EncoderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

FILE = """
name = "tiny"
seed = 1
[[corpora]]
name = "made"
manifest = "manifest.csv"
{more_of_corpus}
[start]
{start}
[objective]
kind = "hubert"
targets = [{targets}]
[batches]
seconds = 5
longest = 1.2
accumulate = {accumulate}
{more}
[augmentation]
noise = 0.5
babble = 0.5
[training]
steps = {steps}
learning_rate = {rate}
precision = "float32"
save = 1e-6
"""
STUDY = """
name = "s"
domain = "language"
regimes = ["zero-shot"]
layer_mix = false
allow = ["shared-speakers", "near-duplicate-audio"]
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "out/encoder"
[probe]
l2 = [0.1]
[splits]
scheme = "random-folds"
folds = 2
dev = 0.4
[statistics]
resamples = 100
slices = []
[report]
audio = "none"
"""
USUAL = {
    "more_of_corpus": "",
    "start": 'architecture = "tiny-hubert"',
    "targets": "{ clusters = 8 }",
    "accumulate": 1,
    "more": "",
    "steps": 6,
    "rate": 1e-3,
}
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a pre-training file beside ten buzzes of 1 to 2 s; keywords replace parts of it."""
    rng = np.random.default_rng(0)
    lines = ["utterance,audio,speaker,language,pitch"]
    for number in range(12):
        time = np.arange(int(16_000 * (1.0 + number / 12))) / 16_000
        pitch = (110 if number % 2 else 220) * rng.uniform(0.9, 1.1) * (1 + 0.2 * np.sin(4 * time))
        buzz = sum(np.sin(h * 2 * np.pi * np.cumsum(pitch) / 16_000) / h for h in range(1, 7))
        heard = 0.1 * buzz * (np.sin(9 * time) > -0.3) + rng.normal(0, 0.01, len(time))
        soundfile.write(tmp_path / f"{number}.wav", heard, 16_000, subtype="FLOAT")
        lines.append(
            f"u{number},{number}.wav,s{number // 2},{'aa' if number < 6 else 'bb'},{'low' if number % 2 else 'high'}"
        )
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")

    def written(name: str = "tiny.toml", **parts: object) -> Path:
        file = tmp_path / name
        file.write_text(FILE.format(**{**USUAL, **parts}))
        return file

    return written


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def told(folder: Path) -> dict[str, object]:
    return RunDirectory(folder).read()


def test_the_encoder_loads_encodes_and_is_probed(write: Write, tmp_path: Path) -> None:
    done = pretrain(write(steps=8), output=tmp_path / "out")
    record = told(tmp_path / "out")
    assert (record["status"], record["kind"], record["languages"]) == ("complete", "pretraining", ["aa", "bb"])
    assert done.log["step"].to_list() == list(range(1, 9)) and done.log["loss"][-1] < done.log["loss"][0]
    assert {"accuracy", "clusters predicted", "rank"} <= set(done.log.columns)
    assert done.hours == pytest.approx(record["hours"]) and "out/encoder" in done.__rich__().replace("\n", "")

    samples = soundfile.read(tmp_path / "3.wav", dtype="float32")[0]
    model = AutoModel.from_pretrained(done.encoder).eval()
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.inference_mode():
        theirs = model(torch.from_numpy(normal)[None], output_hidden_states=True).hidden_states
    encoder = load(EncoderSettings(name=str(done.encoder)))
    np.testing.assert_allclose(encoder.hidden_states(samples), torch.cat(theirs).numpy(), rtol=1e-4, atol=1e-5)
    untrained = load(EncoderSettings(name="untrained:tiny-hubert", seed=1)).hidden_states(samples)
    assert np.abs(encoder.hidden_states(samples) - untrained).max() > 1e-2

    assert encode(str(done.encoder), tmp_path / "manifest.csv", folder=tmp_path / "cache").utterances == 12
    (tmp_path / "study.toml").write_text(STUDY)
    assert run(tmp_path / "study.toml", output=tmp_path / "study").exists()
    scores = RunDirectory(tmp_path / "study").table("scores")
    assert scores.filter(metric="uar", slice="all")["layer"].drop_nulls().n_unique() == 5


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_stopped_by_ctrl_c_it_goes_on_and_ends_with_the_same_weights(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    file = write(accumulate=accumulate)
    pretrain(file, output=tmp_path / "whole")
    looked = watch.watch

    def stopping(rows: list[dict[str, float]], *more: object) -> None:
        looked(rows, *more)  # type: ignore[arg-type]
        if rows[-1]["step"] == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(watch, "watch", stopping)
        with pytest.raises(SystemExit) as ended:
            main(["pretrain", str(file), "--output", str(tmp_path / "parts")])
    assert ended.value.code == 130
    assert told(tmp_path / "parts")["status"] == "interrupted" and not (tmp_path / "parts" / "encoder").exists()
    page = (tmp_path / "parts" / "curve.html").read_text()
    assert "The same command goes on" in page and "4 of 6 steps" in page and "refresh" not in page
    pretrain(file, output=tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    logs = [pl.read_parquet(tmp_path / name / "training.parquet") for name in ("whole", "parts")]
    assert logs[0].equals(logs[1])
    (tmp_path / "parts" / "curve.html").unlink()
    assert report(tmp_path / "parts", title="Mine").read_text().count("Mine") == 2
    pretrain(file, output=tmp_path / "parts")
    assert (
        same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
        and told(tmp_path / "parts")["status"] == "complete"
    )


def test_the_seed_alone_decides_the_weights(write: Write, tmp_path: Path) -> None:
    file = write(steps=2)
    torch.manual_seed(99)
    pretrain(file, output=tmp_path / "a")
    torch.rand(7)
    pretrain(file, output=tmp_path / "b")
    file.write_text(file.read_text().replace("[batches]", "[batches]\nworkers = 2"))
    pretrain(file, output=tmp_path / "c")
    file.write_text(file.read_text().replace("seed = 1", "seed = 2"))
    pretrain(file, output=tmp_path / "d")
    found = [weights(tmp_path / name) for name in "abcd"]
    assert same(found[0], found[1]) and same(found[0], found[2]) and not same(found[0], found[3])


def test_it_goes_on_from_a_checkpoint_and_clusters_its_layers(write: Write, tmp_path: Path) -> None:
    first = pretrain(write(start='architecture = "sibboleth-tiny"\nfilters = "mel"', steps=2), output=tmp_path / "one")
    file = write(
        "two.toml",
        start='checkpoint = "one/encoder"',
        targets='{features = "one/encoder", layer = 3, clusters = 6}',
        steps=2,
        rate=1e-9,
    )
    second = pretrain(file, output=tmp_path / "two")
    before, after = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    asked = json.loads((tmp_path / "two" / "clusters-1" / "clusters.json").read_text())["asked"]
    assert asked["features"] == load(EncoderSettings(name=str(first.encoder))).identity + ":3"
    assert second.log["loss"][0] != first.log["loss"][-1]


def test_a_collapse_stops_it_says_so_and_exits_1(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = start.build

    def collapsed(*arguments: object) -> torch.nn.Module:
        """The last layer says the same of everything, and cannot learn to do otherwise."""
        model = build(*arguments)  # type: ignore[arg-type]
        norm = model.encoder.layers[-1].final_layer_norm
        torch.nn.init.zeros_(norm.weight)
        norm.requires_grad_(False)
        return model

    monkeypatch.setattr(start, "build", collapsed)
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", str(write(steps=40)), "--output", str(tmp_path / "out")])
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1 and "the encoder has collapsed: " in said
    record = told(tmp_path / "out")
    assert record["status"] == "collapsed" and "collapsed" in str(record["told"])
    page = (tmp_path / "out" / "curve.html").read_text()
    assert "The encoder has collapsed and was stopped" in page and "beyond" in page and "refresh" not in page
    log = pl.read_parquet(tmp_path / "out" / "training.parquet")
    assert 8 <= log["step"][-1] < 25 and f"at step {log['step'][-1]}," in said
    assert not (tmp_path / "out" / "encoder").exists()


def test_other_settings_in_the_same_folder_are_refused_and_change_nothing(write: Write, tmp_path: Path) -> None:
    pretrain(write(steps=2), output=tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    cases = {
        r"other \[training\]": {"rate": 2e-3, "steps": 2},
        r"other clusters, \[?objective": {"targets": "{ clusters = 5 }", "steps": 2},
        r"other .*speech": {"more_of_corpus": "hours = 0.002", "steps": 2},
        r"other start": {"start": 'architecture = "tiny-xls-r"', "steps": 2},
    }
    for said, parts in cases.items():
        with pytest.raises(Exception, match="belongs to another training") as refused:
            pretrain(write(**parts), output=tmp_path / "out")
        assert all(word in str(refused.value) for word in said.replace("\\", "").split() if word.isalpha()), said
        assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "run.json").write_text('{"format": 1, "status": "complete"}')
    with pytest.raises(Exception, match="holds the run of a study; choose another folder with --output"):
        pretrain(write(), output=tmp_path / "study")


BAD = {
    "manifest.csv: cannot be read (No such file": {"more_of_corpus": "", "remove": "manifest.csv"},
    "frames are too few for 9000 clusters": {"targets": "{ clusters = 9000 }"},
    "hours that can be used, not the 7 asked for": {"more_of_corpus": "hours = 7"},
    "start: whisper cannot be pre-trained; it takes a model of wav2vec2": {"start": 'architecture = "tiny-whisper"'},
    "no such architecture; there are": {"start": 'architecture = "huge-hubert"'},
    "start: logmel cannot be pre-trained": {"start": 'checkpoint = "logmel"'},
    "give either architecture or checkpoint": {"start": ""},
    "unknown key": {"more": "second = 3"},
    "no speech is left to pre-train on": {"more": "shortest = 9"},
    "batches.shortest: untrained:tiny-hubert needs 0.025 s for a frame": {"more": "shortest = 0.01"},
    "greater than 0": {"rate": 0},
}


@pytest.mark.parametrize("said", BAD)
def test_bad_input_is_one_clear_error(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    parts = dict(BAD[said])
    gone = parts.pop("remove", None)
    file = write(**parts)
    if gone:
        (tmp_path / gone).unlink()
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", str(file), "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and said in " ".join(printed.split()) and "Traceback" not in printed
    assert printed.count("error:") == 1


def test_audio_that_is_corrupt_inside_is_left_out_by_name(write: Write, tmp_path: Path) -> None:
    file = write()
    soundfile.write(tmp_path / "5.flac", soundfile.read(tmp_path / "5.wav")[0], 16_000)
    whole = bytearray((tmp_path / "5.flac").read_bytes())
    whole[len(whole) // 3 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 3)
    (tmp_path / "5.wav").write_bytes(whole)
    pretrain(file, output=tmp_path / "out")
    record = told(tmp_path / "out")
    assert record["status"] == "complete" and record["pieces"] == 11
    (left_out,) = record["excluded"]
    assert left_out["audio"].endswith("5.wav") and left_out["reason"]


def test_the_page_is_drawn_while_it_runs(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "OFTEN", 0.0)
    pages = []
    draw = recipe.curve.draw

    def drawn(*arguments: object, **more: object) -> Path:
        page = draw(*arguments, **more)  # type: ignore[arg-type]
        pages.append(page.read_text())
        return page

    monkeypatch.setattr(recipe.curve, "draw", drawn)
    pretrain(write(steps=3), output=tmp_path / "out")
    assert "No numbers yet" in pages[0] and "0 of 3 steps" in pages[1]
    assert [f"{step} of 3 steps" in page for step, page in zip((1, 2, 3, 3), pages[2:], strict=True)] == [True] * 4
    assert all('http-equiv="refresh"' in page for page in pages[:5]) and "refresh" not in pages[-1]
    assert "made; languages: aa, bb" in pages[-1] and "8 clusters of mfcc" in pages[-1]


@pytest.mark.soak
def test_two_processes_are_one_with_twice_the_batches(write: Write, tmp_path: Path) -> None:
    pretrain(write(accumulate=2), output=tmp_path / "one")
    write("both.toml", accumulate=1)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, "-m", "sibboleth", "pretrain", "both.toml", "--output", "both"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Pre-training tiny: 6 steps") == 1
    one, both = weights(tmp_path / "one"), weights(tmp_path / "both")
    for name in one:
        torch.testing.assert_close(one[name], both[name], rtol=1e-3, atol=1e-4)
    logs = [pl.read_parquet(tmp_path / name / "training.parquet") for name in ("one", "both")]
    assert logs[0]["audio seconds"].to_list() == pytest.approx(logs[1]["audio seconds"].to_list(), rel=0.2)
    assert logs[0]["step"].equals(logs[1]["step"]) and told(tmp_path / "both")["status"] == "complete"
