"""A study file is validated as a whole, and an error names field and line."""

from pathlib import Path

import pytest

from sibboleth import study
from sibboleth.errors import InvalidInput
from sibboleth.experiment import material

SMALL = """
name = "small"

[[corpora]]
name = "a"
manifest = "a.csv"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_smallest_study_has_defaults(tmp_path: Path) -> None:
    read = study.read(written(tmp_path, SMALL))
    assert read.regimes == ("within", "zero-shot", "target-selected")
    assert read.splits.scheme == "speaker-folds"
    assert read.probe.kind == "linear"
    assert read.target.column == "emotion"


def test_paths_are_relative_to_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "encoder.py").write_text("")
    (tmp_path / "checkpoint").mkdir()
    names = ["logmel", "checkpoint", "python:encoder.py:encode", "facebook/wav2vec2-base", "./other"]
    text = SMALL + "".join(f'[[encoders]]\nname = "{name}"\n' for name in names)
    read = study.read(written(tmp_path, text))
    assert read.corpora[0].manifest == tmp_path / "a.csv"
    assert [e.name for e in read.encoders] == [
        "logmel",
        str(tmp_path / "checkpoint"),
        f"python:{tmp_path / 'encoder.py'}:encode",
        "facebook/wav2vec2-base",
        str(tmp_path / "other"),
    ]


def test_a_table_of_accents_lies_beside_the_study_and_is_used_on_reading(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("said,accent,dialect\nzachte g,,the south\n")
    (tmp_path / "a.csv").write_text("audio,speaker,emotion,accents\n1.wav,s,x,Vlaams\n2.wav,t,y,zachte g\n")
    for said, dialect in (("built-in", None), ("mine.csv", "the south")):
        read = study.read(written(tmp_path, SMALL + f'accents = "{said}"\n'))
        table = material.gather(read, without_audio=True, unlabelled=True).table
        assert table.select("accent", "dialect").rows() == [("Belgium", None), (None, dialect)]
    assert study.read(written(tmp_path, SMALL)).corpora[0].accents is None


def test_layers_are_kept_of_encoders_that_the_study_has(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    asked = SMALL + '[[encoders]]\nname = "checkpoint"\n[[methods]]\nname = "lora"\nlora = {}\n[methods.layers]\n'
    (method,) = study.read(written(tmp_path, asked + "checkpoint = 4")).methods
    assert method.kept(str(tmp_path / "checkpoint"), 12) == 4, "where it lies beside the study"
    with pytest.raises(InvalidInput, match="lora keeps layers of absent, and there is no such encoder"):
        study.read(written(tmp_path, asked + "absent = 4"))


def test_every_bad_field_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = """name = "with blanks"
sed = 1

[[corpora]]
name = "a"
manifest = "a.csv"

[[corpora]]
name = "b"
manifests = "b.csv"

[probe]
kind = "mlp"
patience = 0

[splits]
scheme = "speaker-fold"
"""
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        study.read(path)
    places = {(problem.row, problem.field) for problem in caught.value.problems}
    assert places >= {
        (1, "name"),
        (2, "sed"),
        (8, "corpora[1].manifest"),
        (10, "corpora[1].manifests"),
        (14, "probe.patience"),
        (17, "splits.scheme"),
    }
    assert f"{path}:2: [sed] unknown key" in str(caught.value)


def test_a_line_of_blanks_is_looked_through_in_no_time(tmp_path: Path) -> None:
    blanks = f'name = """\n[{" " * 20_000}x\n"""\n[ corpora ]\n'
    with pytest.raises(InvalidInput, match=r"study\.toml:4: \[corpora\]"):
        study.read(written(tmp_path, blanks))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not valid TOML"),
        (SMALL + '[[corpora]]\nname = "a"\nmanifest = "b.csv"', "corpora named twice: a"),
        (SMALL + "[probe]\nl2 = []", "at least one penalty"),
        (SMALL.replace("[[corpora]]", "[corpora]"), "corpora"),
    ],
)
def test_what_cannot_be_a_study_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        study.read(written(tmp_path, text))


def test_a_missing_study_and_one_in_latin1_are_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        study.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(InvalidInput, match="UTF-8"):
        study.read(tmp_path / "latin.toml")


def test_a_list_whose_only_table_is_wrong_is_not_also_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as told:
        study.read(written(tmp_path, 'name = "s"\n[[corpora]]\nname = "a"\nmanifest = "a.csv"\nlanguage = 3\n'))
    assert [(one.row, one.field) for one in told.value.problems] == [(5, "corpora[0].language")]
