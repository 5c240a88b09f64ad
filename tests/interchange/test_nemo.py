"""NeMo manifests as its scripts write them, and lines that cannot be used."""

import json
from pathlib import Path

import pytest

from sibboleth import interchange
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked


def manifest(path: Path, *lines: dict[str, object] | str) -> str:
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), encoding="utf-8")
    return str(path)


def test_offsets_are_times_and_any_key_is_a_column(sounds: Path) -> None:
    one = {"audio_filepath": "sounds/a0.wav", "offset": 0.1, "duration": 0.2, "text": "één", "speaker": 3, "lang": "nl"}
    two = {"audio_filepath": "sounds\\b0.wav", "duration": 2.0, "text": "", "speaker": "b", "noise": [1, 2]}
    place = manifest(sounds.parent / "train.json", one, "", two)
    assert interchange.recognised(place) == "nemo"
    back, _ = interchange.read(place, "nemo", Asked())
    assert back.table.select("utterance", "start", "end", "speaker", "language", "text").rows() == [
        ("a0-0.100-0.300", 0.1, 0.3, "3", "nl", "één"),
        ("b0", None, None, "b", None, None),
    ]
    assert back.table["noise"].to_list() == [None, [1, 2]] and back.table["audio"][1] == str(sounds / "b0.wav")


def test_recordings_that_moved_are_found_below_a_folder_also_in_another_format(sounds: Path, tmp_path: Path) -> None:
    line = {"audio_filepath": "/data/corpora/mini/sounds/a0.flac", "duration": 1.0, "speaker": "a"}
    place = manifest(tmp_path / "m.json", line)
    with pytest.raises(InvalidInput, match="say where they lie: --audio FOLDER"):
        interchange.read(place, "nemo", Asked())
    for below in (sounds, sounds.parent):
        back, _ = interchange.read(place, "nemo", Asked(audio=below))
        assert back.table["audio"].to_list() == [str(sounds / "a0.wav")]


def test_keys_whose_values_differ_in_kind_are_kept_as_text(sounds: Path) -> None:
    kinds: list[object] = [3, "b", {"x": 1}]
    lines = [
        {"audio_filepath": f"sounds/{name}.wav", "duration": 1, "speaker": "a", "any": kind, "text": kind}
        for name, kind in zip(("a0", "a1", "b0"), kinds, strict=True)
    ]
    back, _ = interchange.read(manifest(sounds.parent / "m.json", *lines), "nemo", Asked())
    assert back.table["any"].to_list() == back.table["text"].to_list() == ["3", "b", '{"x": 1}']
    columns = {"start": "any"}
    with pytest.raises(InvalidInput, match=r"\[start\] must be a number of seconds, 0 or more \(given: 'b'\)"):
        interchange.read(str(sounds.parent / "m.json"), "nemo", Asked(columns=columns))


def test_only_recordings_that_are_not_there_are_named(sounds: Path) -> None:
    lines = [{"audio_filepath": f"sounds/{name}.wav", "duration": 1, "speaker": "a"} for name in ("gone", "a0", "a1")]
    with pytest.raises(InvalidInput) as caught:
        interchange.read(manifest(sounds.parent / "m.json", *lines), "nemo", Asked())
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(1, "audio")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"duration": 1}, "[audio_filepath] must be the path of a recording"),
        ({"audio_filepath": "a", "offset": 1.0}, "[duration] is missing"),
        ({"audio_filepath": "a", "duration": -1}, "[duration] must be a number of seconds, 0 or more (given: -1)"),
        ({"audio_filepath": "a", "duration": 1, "shard_id": 0}, "in a tar archive"),
        ("[1]", "not a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path: Path, line: dict[str, object] | str, told: str) -> None:
    place = manifest(tmp_path / "m.json", line)
    with pytest.raises(InvalidInput) as caught:
        interchange.read(place, "nemo", Asked())
    assert f"{place}:1:" in str(caught.value) and told in str(caught.value)
