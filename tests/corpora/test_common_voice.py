import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth import audio, corpora, corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import describe, prepare

NEW = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
)
OLD = "client_id path sentence up_votes down_votes age gender accent locale segment"
ROWS = [
    ("c1", "common_voice_nl_1.mp3", 'Hij zei "nee".', "twenties", "male_masculine", "Belgisch Nederlands,West-Vlaams"),
    ("c1", "common_voice_nl_2.mp3", "Eén café.", "twenties", "male_masculine", "Belgisch Nederlands,West-Vlaams"),
    ("c2", "common_voice_nl_3.mp3", "Wat is dat?", "fourties", "female_feminine", "Nederlands Nederlands"),
    ("c3", "common_voice_nl_4.mp3", "Zo gaat het.", "", "", ""),
    ("c4", "common_voice_nl_5.mp3", "Ja, toch.", "teens", "do_not_wish_to_say", "zachte g"),
]


def line(header: str, client: str, path: str, sentence: str, age: str, gender: str, accent: str) -> str:
    values = {"client_id": client, "path": path, "sentence": sentence, "age": age, "gender": gender, "locale": "nl"}
    values |= {"accents": accent, "accent": accent, "up_votes": "2", "down_votes": "0", "sentence_id": "x"}
    return "\t".join(values.get(name, "") for name in header.split())


def write(root: Path, name: str, rows: list[tuple[str, ...]], header: str = NEW) -> None:
    lines = ["\t".join(header.split()), *(line(header, *row) for row in rows)]
    (root / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cv-corpus-23.0" / "nl"
    (folder / "clips").mkdir(parents=True)
    for number, row in enumerate(ROWS):
        tone = 0.1 * np.sin(np.arange(16000 + 800 * number) * (0.05 + 0.01 * number))
        soundfile.write(folder / "clips" / row[1], tone, 32000, format="MP3")
    write(folder, "validated", ROWS)
    write(folder, "train", ROWS[:2])
    write(folder, "dev", ROWS[2:3])
    write(folder, "test", ROWS[3:4])
    return folder


def test_a_header_that_a_spreadsheet_wrote_in_another_case_is_the_same(root: Path) -> None:
    one = corpora.prepare("common-voice", root).table
    for path in root.glob("*.tsv"):
        header, rest = path.read_text(encoding="utf-8").split("\n", 1)
        path.write_text(header.title().replace("\t", " \t") + "\n" + rest, encoding="utf-8-sig")
    assert corpora.prepare("common-voice", root).table.equals(one)


def test_the_published_layout(root: Path) -> None:
    one = corpora.prepare("common-voice", root)
    table = one.table
    assert one.name == "common-voice-nl"
    assert table["utterance"].to_list() == [Path(row[1]).stem for row in ROWS]
    assert table["speaker"].to_list() == ["c1", "c1", "c2", "c3", "c4"]
    assert table["text"].to_list() == [row[2] for row in ROWS]  # a quote is a part of the text
    assert set(table["language"]) == {"nl"}
    assert table["accent"].to_list() == ["Belgium", "Belgium", "Netherlands", None, None]
    assert table["dialect"].to_list() == ["West Flanders", "West Flanders", None, None, None]
    assert table["accents"].to_list()[2:] == ["Nederlands Nederlands", None, "zachte g"]
    assert table["sex"].to_list() == ["male", "male", "female", None, None]
    assert table["age"].to_list() == ["twenties", "twenties", "forties", None, "teens"]
    assert table["part"].to_list() == ["train", "train", "dev", "test", None]
    assert set(table["up_votes"]) == {2}
    assert "variant" not in table.columns  # nobody said one


def test_older_lists_have_another_column_and_codes(root: Path) -> None:
    rows = [
        (*row[:4], "male", accent)
        for row, accent in zip(ROWS, ("belgium", "netherlands", "other", "", ""), strict=True)
    ]
    write(root, "validated", [(c, path.removesuffix(".mp3"), *rest) for c, path, *rest in rows], OLD)
    table = corpora.prepare("common-voice", root).table
    assert table["accent"].to_list() == ["Belgium", "Netherlands", None, None, None]
    assert set(table["sex"]) == {"male"}


def test_the_three_parts_are_enough_and_so_are_clips_without_loss(root: Path) -> None:
    (root / "validated.tsv").unlink()
    for clip in (root / "clips").iterdir():
        samples, rate = soundfile.read(clip)
        soundfile.write(clip.with_suffix(".flac"), samples, rate)
        clip.unlink()
    table = corpora.prepare("common-voice", root).table
    assert table["part"].to_list() == ["train", "train", "dev", "test"]
    assert {Path(file).suffix for file in table["audio"]} == {".flac"}


def test_a_release_with_one_language_lists_in_other_case_and_a_byte_order_mark_are_no_hindrance(root: Path) -> None:
    (root / "validated.tsv").rename(root / "Validated.TSV")
    data = (root / "Validated.TSV").read_bytes()
    (root / "Validated.TSV").write_bytes(b"\xef\xbb\xbf" + data)
    (root / "clips").rename(root / "Clips")
    assert corpora.prepare("common-voice", root.parent.parent).table["speaker"].to_list() == [
        "c1",
        "c1",
        "c2",
        "c3",
        "c4",
    ]


def test_its_manifest_is_read_and_described(root: Path) -> None:
    manifest = prepare("common-voice", root)
    table = corpus.read(manifest).table
    assert len(table) == 5 and set(audio.scan(table)["status"]) == {"ok"}
    groups = describe(manifest).groups
    assert groups["accent"].select("accent", "utterances").rows() == [("Belgium", 2), ("Netherlands", 1), (None, 2)]
    assert prepare("common-voice", root) == manifest  # once more says the same


def test_other_folders_are_refused_with_the_layout_that_is_expected(root: Path) -> None:
    (root.parent / "fy-NL").mkdir()
    write(root.parent / "fy-NL", "train", ROWS)
    with pytest.raises(InvalidInput, match="has clips/ and validated.tsv.*give one of the languages in it: fy-NL, nl"):
        corpora.prepare("common-voice", root.parent)
    with pytest.raises(InvalidInput, match="Common Voice's folder"):
        corpora.prepare("common-voice", root / "clips")
    (root / "validated.tsv").write_text("path\tsentence\na\tb\n")
    with pytest.raises(InvalidInput, match="columns client_id are missing; there are path, sentence"):
        corpora.prepare("common-voice", root)


def test_every_row_that_cannot_be_is_named(root: Path) -> None:
    write(
        root, "validated", [*ROWS, ("c5", "common_voice_nl_9.mp3", "x", "", "", ""), ("", ROWS[0][1], "", "", "", "")]
    )
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare("common-voice", root)
    places = [(problem.row, problem.field) for problem in caught.value.problems]
    assert places == [(7, "path"), (8, "client_id"), (8, "sentence")]
    write(root, "validated", ROWS)
    write(root, "test", ROWS[1:2])
    with pytest.raises(InvalidInput, match="common_voice_nl_2 is in train.tsv too"):
        corpora.prepare("common-voice", root)


def test_both_unicode_forms_of_an_accent_are_one(root: Path) -> None:
    said = "Nederlands van Curaçao"
    forms = [unicodedata.normalize(form, said) for form in ("NFC", "NFD")]
    write(root, "validated", [(*row[:5], accent) for row, accent in zip(ROWS, forms, strict=False)])
    assert corpora.prepare("common-voice", root).table["accent"].to_list() == ["Curaçao", "Curaçao"]
