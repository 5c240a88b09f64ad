"""Corpora in other tools' formats on the command line."""

import json
from pathlib import Path

import polars as pl
import pytest
import soundfile

from sibboleth import cli, corpus, lists, segments
from sibboleth.errors import InvalidInput
from sibboleth.recipes.check import check
from sibboleth.recipes.corpus_export import corpus_export
from sibboleth.recipes.corpus_import import corpus_import


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight utterances of four speakers."""
    rows = []
    for k in range(8):
        name = f"s{k // 2}-{k}"
        soundfile.write(tmp_path / f"{name}.wav", [0.1 * (-1) ** (n // (k + 2)) for n in range(4000)], 8000)
        rows.append(f"{name},{name}.wav,s{k // 2},een {k},{'sad' if k % 2 else 'angry'}")
    path = tmp_path / "mini.csv"
    path.write_text("\n".join(["utterance,audio,speaker,text,emotion", *rows]), encoding="utf-8")
    return path


@pytest.fixture
def emobox(manifest: Path, tmp_path: Path) -> Path:
    """Two folds: the first divides speakers between train and test, the second utterances."""
    folder = tmp_path / "data" / "mini"
    assert corpus_export(manifest, folder, format="emobox").notes == ()
    lines = (folder / "mini.jsonl").read_text(encoding="utf-8").splitlines()
    for fold, tested in ((1, (6, 7)), (2, (0, 3))):
        (folder / f"fold_{fold}").mkdir()
        for part in ("train", "test"):
            chosen = [line for k, line in enumerate(lines) if (k in tested) == (part == "test")]
            (folder / f"fold_{fold}" / f"mini_{part}_fold_{fold}.jsonl").write_text("\n".join(chosen), encoding="utf-8")
    return folder


def test_folds_are_audited_on_arrival_and_become_split_lists(
    emobox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "manifest.csv"
    cli.main(["corpus", "import", str(emobox), "--output", str(output)])
    said = capsys.readouterr().out
    assert "shared-speakers" in said and "mini: 8 utterances, 4 speakers" in said
    again = corpus_import(str(emobox), output=output)
    first, second = again.folds
    assert (first.fold, first.train, first.test, first.shared, first.errors) == ("fold-1", 6, 2, (), ())
    assert (second.speakers, second.shared) == (2, ("s0", "s1")) and "shared-speakers" in second.errors
    assert len(corpus.read(output).table) == 8
    written = lists.read(tmp_path / "out" / "splits.csv")
    assert written.group_by("fold", "part").len().sort("fold", "part")["len"].to_list() == [2, 6, 2, 6]


def test_parts_are_audited_too_and_serve_as_lists(manifest: Path, tmp_path: Path) -> None:
    table = pl.read_csv(manifest).with_columns(part=pl.Series(["train", "test"] * 4))
    leaking = tmp_path / "leaking.csv"
    table.write_csv(leaking)
    corpus_export(leaking, tmp_path / "cuts.jsonl", format="lhotse")
    read = corpus_import(str(tmp_path / "cuts.jsonl"), output=tmp_path / "again.csv")
    (fold,) = read.folds
    assert fold.shared == ("s0", "s1", "s2", "s3") and "shared-speakers" in fold.errors and read.splits is None
    found = check(tmp_path / "again.csv", allow=("shared-speakers",), without_audio=True)
    assert "shared-speakers" in [finding.name for finding in found]


def test_columns_and_patterns_tell_who_speaks(manifest: Path, tmp_path: Path) -> None:
    lines = [
        {"audio_filepath": f"{name}.wav", "duration": 0.5, "reader": name[:2], "text": "x"} for name in ("s0-0", "s1-2")
    ]
    place = tmp_path / "nemo.json"
    place.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"--columns\.speaker NAME; there are: duration, reader, text"):
        corpus_import(str(place), output=tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
    cli.main(["corpus", "import", str(place), "--output", str(tmp_path / "a.csv"), "--columns.speaker", "reader"])
    cli.main(["corpus", "import", str(place), "--output", str(tmp_path / "b.csv"), "--speaker", "^(s.)"])
    for name in ("a", "b"):
        assert corpus.read(tmp_path / f"{name}.csv").table["speaker"].to_list() == ["s0", "s1"]
    with pytest.raises(InvalidInput, match="no column 'nobody'; there are: audio, duration, reader, text"):
        corpus_import(str(place), output=tmp_path / "c.csv", columns={"speaker": "nobody"})


def test_places_of_no_format_or_of_several_are_told_apart(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file or folder; of the hub: --format datasets"):
        corpus_import("owner/name", output=tmp_path / "a.csv")
    with pytest.raises(InvalidInput, match="of no format that is known here") as caught:
        corpus_import(str(manifest), output=tmp_path / "a.csv")
    assert "kaldi: a folder with wav.scp" in str(caught.value) and "is a manifest already" in str(caught.value)
    corpus_export(manifest, tmp_path / "both", format="kaldi")
    corpus_export(manifest, tmp_path / "both" / "cuts.jsonl", format="lhotse")
    with pytest.raises(InvalidInput, match="may be kaldi or lhotse; say which: --format kaldi"):
        corpus_import(str(tmp_path / "both"), output=tmp_path / "a.csv")
    assert len(corpus_import(str(tmp_path / "both"), output=tmp_path / "a.csv", format="lhotse").corpus.table) == 8


def test_nothing_is_overwritten_in_either_direction(manifest: Path, tmp_path: Path) -> None:
    place = tmp_path / "mini.jsonl"
    place.write_text("mine\n")
    with pytest.raises(InvalidInput, match="is there already"):
        corpus_export(manifest, place, format="nemo")
    assert place.read_text() == "mine\n"
    corpus_export(manifest, tmp_path / "k", format="kaldi")
    before = manifest.read_bytes()
    with pytest.raises(InvalidInput, match="is there already"):
        corpus_import(str(tmp_path / "k"), output=manifest)
    assert manifest.read_bytes() == before


def test_what_a_format_does_not_hold_is_printed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["corpus", "export", str(manifest), str(tmp_path / "x.stm"), "--format", "stm"])
    assert "STM has no place for emotion: left out" in capsys.readouterr().out


def test_files_of_segments_are_found_from_where_a_corpus_goes(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "one.rttm").write_text("SPEAKER s0-0 1 0.1 0.2 <NA> <NA> sad <NA> <NA>\n")
    table = pl.read_csv(manifest).head(1).with_columns(segments=pl.lit("one.rttm"))
    table.write_csv(tmp_path / "segmented.csv")
    corpus_export(tmp_path / "segmented.csv", tmp_path / "elsewhere" / "n.json", format="nemo")
    back = corpus_import(str(tmp_path / "elsewhere" / "n.json"), output=tmp_path / "out" / "manifest.csv").corpus
    found = segments.of_manifest(back.table, tmp_path / "out")
    assert found.of("s0-0") == [(0.1, 0.3, "sad")]


def test_real_speech_goes_through_every_format(real_speech: Path, tmp_path: Path) -> None:
    """EmoDB's files and labels come back from each format that needs no library."""
    from sibboleth import corpora

    (tmp_path / "emodb").symlink_to(real_speech / "emodb")
    made = corpora.prepare("emodb", tmp_path / "emodb")
    manifest = corpus.write(made, tmp_path / "emodb.csv")
    for format, place in (("kaldi", "k"), ("nemo", "n.json"), ("lhotse", "c.jsonl.gz"), ("emobox", "data/emodb")):
        corpus_export(manifest, tmp_path / place, format=format)  # type: ignore[arg-type]
        back = corpus_import(str(tmp_path / place), output=tmp_path / f"{format}.csv").corpus.table.sort("utterance")
        columns = ["utterance", "audio", "speaker", "language", "text", "emotion", "sex"]
        assert back.select(columns).equals(made.table.sort("utterance").select(columns))
