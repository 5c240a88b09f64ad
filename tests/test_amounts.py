"""The file of a data study: what it says, and the ordinary files that it becomes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import amounts, pretraining, settings, study
from sibboleth.errors import InvalidInput
from sibboleth.models.pretraining import pieces
from sibboleth.recipes import preset

FILE = """
name = "data"
question = "How much?"
seed = 3
hours = {hours}
domain = "language"
[languages]
{languages}
[[speech]]
name = "english"
manifest = "speech.csv"
keep = {{ language = ["en"] }}
[[speech]]
name = "dutch"
manifest = "speech.csv"
keep = {{ language = ["nl"] }}
{speech}
[pretraining.start]
{start}
[pretraining.objective]
kind = "hubert"
{objective}
[pretraining.training]
steps = 3
[[corpora]]
name = "labelled"
manifest = "labelled.csv"
{corpus}
[[targets]]
column = "emotion"
{target}
[[targets]]
column = "cue pitch"
kind = "regression"
regimes = ["within"]
domain = "accent"
{more}
"""
USUAL = {
    "hours": "[0.5, 2]",
    "languages": 'en = ["english"]\nboth = ["english", "dutch"]',
    "start": 'architecture = "tiny-hubert"',
}


def write(folder: Path, **changes: str) -> Path:
    path = folder / "data.toml"
    gaps = dict.fromkeys(("speech", "objective", "corpus", "target", "more"), "")
    path.write_text(FILE.format(**gaps | USUAL | changes))
    return path


def test_every_language_has_every_amount_and_shares_it_equally(tmp_path: Path) -> None:
    asked = amounts.read(write(tmp_path, hours="[2, 0.5]"))
    assert [point.name for point in asked.points] == ["en-0.5h", "en-2h", "both-0.5h", "both-2h"]
    shares = {
        point.name: [(one.name, one.hours) for one in asked.pretraining_of(point).corpora] for point in asked.points
    }
    assert shares["en-2h"] == [("english", 2)]
    assert shares["both-2h"] == [("english", 1), ("dutch", 1)]


def test_only_name_and_speech_differ_between_the_pretrainings(tmp_path: Path) -> None:
    asked = amounts.read(write(tmp_path))
    told = [asked.pretraining_of(point).model_dump(exclude={"name", "corpora"}) for point in asked.points]
    assert told == [told[0]] * 4
    assert told[0]["seed"] == 3


def test_what_is_written_reads_back_as_the_same(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        start='checkpoint = "facebook/wav2vec2-base"',
        target='labels = ["so \\"so\\"", "b"]\ntranslate = { labelled = { "Wut é" = "b" } }',
        objective='targets = [{ features = "mfcc", clusters = 5 }, { features = "logmel", layer = 0 }]',
        more='[probe]\nkind = "mlp"\nlearning_rate = [1e-5, 1e-3]\n[splits]\nbalance = ["language"]',
    )
    asked = amounts.read(file)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for point in asked.points:
        wanted = asked.pretraining_of(point)
        (other / "made.toml").write_text(settings.written(wanted, "made"))
        assert pretraining.read(other / "made.toml") == wanted
    for target in asked.targets:
        made = asked.study_of(target)
        (other / "made.toml").write_text(settings.written(made, "made"))
        assert study.read(other / "made.toml") == made


def test_each_target_is_a_study_with_the_controls_beside_it(tmp_path: Path) -> None:
    asked = amounts.read(
        write(tmp_path, target='regimes = ["zero-shot"]', more='[[encoders]]\nname = "logmel"\npooling = "mean"')
    )
    emotion, pitch = (asked.study_of(target) for target in asked.targets)
    assert (emotion.name, emotion.domain, emotion.regimes) == ("data-emotion", "language", ("zero-shot",))
    assert (pitch.name, pitch.domain, pitch.regimes, pitch.target.kind) == (
        "data-cue-pitch",
        "accent",
        ("within",),
        "regression",
    )
    controls = [(one.name, one.pooling, one.seed) for one in emotion.encoders]
    assert controls == [("logmel", "mean", 0), ("untrained:tiny-hubert", None, 3)]


def test_a_checkpoint_that_is_gone_on_from_is_its_own_control(tmp_path: Path) -> None:
    asked = amounts.read(write(tmp_path, start='checkpoint = "facebook/wav2vec2-base"'))
    assert [one.name for one in asked.others] == ["logmel", "facebook/wav2vec2-base"]


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"objective": "clusters = 3"}, "pretraining.objective.clusters", "unknown key"),
        ({"start": 'architecture = "a"\ncheckpoint = "b"'}, "pretraining.start", "either architecture or checkpoint"),
        ({"speech": "hours = 3"}, "speech[1].hours", "unknown key"),
        ({"languages": 'en = ["english", "dutch", "danish"]'}, "languages", "danish"),
        ({"languages": 'en = ["english"]'}, "languages", "no language draws from dutch"),
        ({"languages": '"e/n" = ["english", "dutch"]'}, "languages", "no name for files"),
        ({"hours": "[1, 1.0]"}, "hours", "each amount once"),
        ({"hours": "[0]"}, "hours[0]", "greater than 0"),
        ({"corpus": 'labels = { Wut = "angry" }'}, "corpora", "translate"),
        ({"target": 'corpora = ["nemo"]'}, "targets", "nemo"),
        ({"target": 'name = "cue-pitch"'}, "targets", "different names"),
        ({"target": 'kind = "ranking"'}, "targets[0].kind", "classification"),
        ({"speech": '[[speech]]\nname = "dutch"\nmanifest = "x.csv"'}, "speech", "named twice: dutch"),
    ],
)
def test_what_is_wrong_is_told_with_the_place_in_the_own_file(
    tmp_path: Path, changes: dict[str, str], place: str, message: str
) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(InvalidInput) as caught:
        amounts.read(file)
    problem = next(one for one in caught.value.problems if one.field == place)
    assert message in problem.message
    assert problem.file == str(file)
    assert problem.row is not None
    written = file.read_text().splitlines()[problem.row - 1]
    assert place.rpartition(".")[2].partition("[")[0] in written or place.partition("[")[0] in written


def test_less_speech_is_a_part_of_more_and_of_what_two_languages_share(tmp_path: Path) -> None:
    rows = []
    for language in ("en", "nl"):
        for number in range(12):
            name = f"{language}{number}.wav"
            soundfile.write(tmp_path / name, np.full(16000 + 400 * number, 0.1, np.float32), 16000)
            rows.append((name, f"{language}-{number % 3}", language))
    pl.DataFrame(rows, schema=["audio", "speaker", "language"], orient="row").write_csv(tmp_path / "speech.csv")
    second = 1 / 3600
    asked = amounts.read(write(tmp_path, hours=f"[{4 * second}, {8 * second}]"))
    found = [set(pieces.gather(asked.pretraining_of(point)).table["piece"]) for point in asked.points]
    few, many, few_of_both, many_of_both = found
    assert few < many and few_of_both < many_of_both
    assert {one for one in many_of_both if one.startswith("english/")} == few
    assert len({one.partition("/")[0] for one in few_of_both}) == 2


def test_the_preset_is_such_a_file(tmp_path: Path) -> None:
    asked = amounts.read(preset.write("pretraining-data", output=tmp_path / "mine.toml"))
    assert [one.called for one in asked.targets] == ["emotion", "accent", "cue_pitch"]
    assert len(asked.points) == 9
    assert asked.speech[0].manifest == tmp_path / "speech" / "manifest.csv"
