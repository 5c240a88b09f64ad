import csv
import datetime
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sibboleth import corpus
from sibboleth.corpus import COLUMNS, Corpus, delimited, sheets, spelling
from sibboleth.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("wav/a.wav", "wav/b.wav", "wav/c.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, **options: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        corpus.read(path, **options)  # type: ignore[arg-type]
    return caught.value


def places(error: InvalidInput) -> list[tuple[int | None, str | None]]:
    return [(problem.row, problem.field) for problem in error.problems]


def test_csv_has_all_columns_absolute_audio_and_its_own_columns(folder: Path) -> None:
    path = written(folder, "m.csv", "audio,speaker,emotion\nwav/a.wav,s1,happy\n" + f"{folder}/wav/b.wav,s2,\n")
    one = corpus.read(path)
    assert one.name == "m"
    assert one.table.columns == [*COLUMNS, "emotion"]
    assert [one.table.schema[c] for c in COLUMNS] == list(COLUMNS.values())
    assert one.table["audio"].to_list() == [str(folder / "wav/a.wav"), str(folder / "wav/b.wav")]
    assert one.table["utterance"].to_list() == ["wav/a", "wav/b"]
    assert one.table["emotion"].to_list() == ["happy", None]
    assert one.table["language"].null_count() == 2


def test_all_formats_say_the_same(folder: Path) -> None:
    rows = [
        {"audio": "wav/a.wav", "speaker": "1", "start": 0.25, "end": 1.5, "text": 'he said "hi", or so'},
        {"audio": "wav/b.wav", "speaker": "2", "start": None, "end": None, "text": "zweite; Zeile"},
    ]
    names = list(rows[0])
    with (folder / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *(row.values() for row in rows)])
    cells = [["" if v is None else str(v) for v in row.values()] for row in rows]
    written(folder, "m.tsv", "\n".join("\t".join(row) for row in [names, *cells]))
    written(folder, "m.jsonl", "\n".join(json.dumps(row) for row in rows))
    pl.DataFrame(rows).write_parquet(folder / "m.parquet")
    tables = [corpus.read(folder / f"m.{suffix}").table for suffix in ("csv", "tsv", "jsonl", "parquet")]
    assert all(table.equals(tables[0]) for table in tables)
    assert tables[0]["utterance"].to_list() == ["wav/a-0.250-1.500", "wav/b"]


def test_spreadsheet_csv_with_semicolons_bom_decimal_commas_and_trailing_separators(folder: Path) -> None:
    text = "\ufeffaudio;speaker;start;end;;\r\nwav\\a.wav; s1 ;0,5;1,25;;\r\n;;;;;\r\n"
    table = corpus.read(written(folder, "m.csv", text)).table
    assert table.select("audio", "speaker", "start", "end").rows() == [(str(folder / "wav/a.wav"), "s1", 0.5, 1.25)]
    assert table.columns == list(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "audio\tspeaker\tstart\tend\nwav/a.wav\ts1\t0,5\t1.25\n",
        "sep=;\r\naudio;speaker;start;end\r\nwav/a.wav;s1;0,5;1,25\r\n",
        "\ufeffSEP=,\naudio,speaker,start,end\nwav/a.wav,s1,0.5,1.25\n",
    ],
)
def test_what_spreadsheets_call_csv_may_have_tabs_or_say_how_it_is_separated(folder: Path, text: str) -> None:
    table = corpus.read(written(folder, "m.csv", text)).table
    assert table.select("audio", "speaker", "start", "end").rows() == [(str(folder / "wav/a.wav"), "s1", 0.5, 1.25)]
    wrong = refused(written(folder, "w.csv", text.replace("s1", "")))
    assert places(wrong) == [(3 if "ep=" in text.lower() else 2, "speaker")]


def test_a_file_without_header_is_told_so(folder: Path) -> None:
    error = refused(written(folder, "m.csv", "wav/a.wav,s1\nwav/b.wav,s2\n"))
    assert "the first line must name the columns" in str(error)


def test_a_lone_quote_in_a_tsv_swallows_nothing(folder: Path) -> None:
    text = 'path\tclient_id\tsentence\twav/x\na.wav\ts1\t"open\tq\nb.wav\ts2\tfine "so\tq\n'
    (folder / "clips").mkdir()
    for name in "ab":
        (folder / f"clips/{name}.wav").write_bytes(b"")
    columns = {"audio": "path", "speaker": "client_id", "text": "sentence"}
    table = corpus.read(written(folder, "m.tsv", text), columns=columns, language="nl").table
    assert table["text"].to_list() == ['"open', 'fine "so']
    assert table["audio"].to_list() == [str(folder / "clips/a.wav"), str(folder / "clips/b.wav")]
    assert table["language"].to_list() == ["nl", "nl"]


def test_a_tsv_that_quotes_everything_is_unquoted(folder: Path) -> None:
    text = '"audio"\t"speaker"\t"text"\n"wav/a.wav"\t"1"\t"say ""so"""\n'
    assert corpus.read(written(folder, "m.tsv", text)).table["text"].to_list() == ['say "so"']


def test_line_separators_of_unicode_do_not_end_a_line(folder: Path) -> None:
    table = corpus.read(written(folder, "m.tsv", "audio\tspeaker\ttext\nwav/a.wav\ts\tone\u2028two\x85three\n")).table
    assert table["text"].to_list() == ["one\u2028two\x85three"]


def test_every_bad_row_is_reported_at_once_with_its_line(folder: Path) -> None:
    text = (
        "audio,speaker,start,end,text\n"
        'wav/a.wav,s1,,,"two\nlines"\n'  # lines 2 and 3
        "wav/a.wav,,,,no speaker\n"
        ",s1,,,no audio\n"
        "wav/none.wav,s1,,,missing\n"
        "wav/c.wav,s1,,,wrong suffix\n"
        "wav/b.wav,s1,x,,start\n"
        "wav/b.wav,s1,-1,,negative\n"
        "wav/b.wav,s1,2,1,backwards\n"
        "wav/b.wav,s1,,1,only end\n"
        "wav/b.wav,s1,inf,,infinite\n"
        "wav/b.wav,s1\n"
        "wav/b.wav,s1,1,2,a,b\n"
        "wav/b.wav,s1,0,1,\n"
    )
    error = refused(written(folder, "m.csv", text))
    assert places(error) == [
        (2, "utterance"),
        (4, "speaker"),
        (4, "utterance"),
        (5, "audio"),
        (6, "audio"),
        (7, "audio"),
        (8, "start"),
        (9, "start"),
        (10, "end"),
        (11, "start"),
        (12, "start"),
        (13, None),
        (14, None),
    ]
    assert "c.flac" in str(error) and "12 bad rows" in error.summary
    assert f"{folder / 'm.csv'}:13: has 2 values where the header has 5" in str(error)


def test_a_missing_column_is_named_with_those_that_are_there_and_how_to_map_it(folder: Path) -> None:
    error = refused(written(folder, "m.tsv", "path\tclient_id\nwav/a.wav\tx\n"))
    assert "there are: path, client_id" in str(error)
    assert 'columns = { audio = "path" }' in str(error) and 'columns = { speaker = "client_id" }' in str(error)
    wrong = refused(folder / "m.tsv", columns={"audio": "path", "speaker": "speeker"})
    assert "'speeker'" in str(wrong) and len(wrong.problems) == 1


def test_a_mapped_column_replaces_one_that_has_our_name(folder: Path) -> None:
    path = written(folder, "m.csv", "audio,speaker,text,normal\nwav/a.wav,s,Hi!,hi\n")
    table = corpus.read(path, columns={"text": "normal"}).table
    assert table["text"].to_list() == ["hi"] and "normal" not in table.columns


def test_wrong_encodings_say_which_lines_and_what_to_do(folder: Path) -> None:
    error = refused(written(folder, "m.csv", "audio,speaker\nwav/a.wav,x\nwav/b.wav,Jörg\n".encode("latin-1")))
    assert "UTF-8" in error.summary and places(error) == [(3, None)] and "Jörg" in str(error)
    assert "UTF-16" in str(refused(written(folder, "u.csv", "audio,speaker\nwav/a.wav,x\n".encode("utf-16"))))


def test_quotes_that_csv_cannot_read_are_found_where_they_open(folder: Path) -> None:
    text = 'audio,speaker,text\nwav/a.wav,s,fine\nwav/b.wav,s,"never closed\nwav/c.flac,s,gone\n'
    assert places(refused(written(folder, "m.csv", text))) == [(3, None)]
    text = 'audio,speaker,text\nwav/a.wav,s,"a"b\nwav/none.wav,s,c\n'
    assert places(refused(written(folder, "m.csv", text))) == [(2, None), (3, "audio")]


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.jsonl"])
def test_empty_files_and_empty_tables_are_refused(folder: Path, name: str) -> None:
    assert "empty" in str(refused(written(folder, name, "")))
    assert "empty" in str(refused(written(folder, name, "\n\n")))
    if name == "m.csv":
        assert "empty" in str(refused(written(folder, name, "audio,speaker\n")))


def test_files_that_are_no_manifest_are_refused(folder: Path) -> None:
    assert ".parquet" in str(refused(written(folder, "m.xlsx", "")))
    assert "No such file" in str(refused(folder / "none.csv"))
    assert "Parquet" in str(refused(written(folder, "m.parquet", "PAR1 not really")))
    assert "twice: x" in str(refused(written(folder, "m.csv", "audio,speaker,x,x\nwav/a.wav,s,1,2\n")))
    (folder / "d.csv").mkdir()
    assert "a folder, and not a manifest; sibboleth corpus import makes one" in str(refused(folder / "d.csv"))


def test_bad_json_lines_are_reported_beside_bad_rows(folder: Path) -> None:
    lines = ['{"audio": "wav/a.wav", "speaker": 7}', "", "{oops", "[1]", '{"audio": "wav/b.wav", "speaker": ""}']
    lines += ['{"speaker": "\\ud83d\\ude00", "half of a character": "\\ud83d"}']
    told = places(refused(written(folder, "m.jsonl", "\n".join(lines))))
    assert told == [(3, None), (4, None), (5, "speaker"), (6, None)]


def test_types_of_parquet_and_jsonl_become_ours_and_others_stay(folder: Path) -> None:
    table = pl.DataFrame(
        {
            "audio": pl.Series(["wav/a.wav", "wav/b.wav"], dtype=pl.Categorical),
            "speaker": [1.0, 2.0],
            "session": [True, None],
            "start": [1, None],
            "end": pl.Series([2.5, float("nan")], dtype=pl.Float32),
            "accent": [datetime.timedelta(days=1), None],
            "valence": [0.5, -1.25],
            "take": [1, 2],
        }
    )
    table.write_parquet(folder / "m.parquet")
    read = corpus.read(folder / "m.parquet").table
    assert read["speaker"].to_list() == ["1", "2"]
    assert read["session"].to_list() == ["true", None]
    assert read["accent"].to_list() == ["P1D", None]
    assert read.select("start", "end").rows() == [(1.0, 2.5), (None, None)]
    assert read.schema["valence"] == pl.Float64 and read.schema["take"] == pl.Int64
    mixed = corpus.read(
        written(folder, "m.jsonl", '{"audio": "wav/a.wav", "speaker": 3, "v": 1.5, "start": 0.1}')
    ).table
    assert mixed.select("speaker", "v", "start").rows() == [("3", 1.5, 0.1)]


def test_audio_embedded_in_parquet_is_refused_with_advice(folder: Path) -> None:
    pl.DataFrame({"audio": [{"bytes": b"RIFF", "path": "a.wav"}], "speaker": ["s"]}).write_parquet(folder / "m.parquet")
    assert "files of its own" in str(refused(folder / "m.parquet"))


def test_ids_must_differ_and_files_may_repeat_with_other_segments(folder: Path) -> None:
    fine = "audio,speaker,start,end\nwav/a.wav,s,0,1\nwav/a.wav,s,1,2\nwav/a.wav,s,2,\n"
    ids = corpus.read(written(folder, "m.csv", fine)).table["utterance"].to_list()
    assert ids == ["wav/a-0.000-1.000", "wav/a-1.000-2.000", "wav/a-2.000"]
    error = refused(written(folder, "m.csv", "audio,speaker,utterance\nwav/a.wav,s,u\nwav/b.wav,s,u\n"))
    assert places(error) == [(2, "utterance"), (3, "utterance")]
    assert "id of row 3 too" in error.problems[0].message and "id of row 2 too" in error.problems[1].message


def test_names_from_another_system_are_found(folder: Path) -> None:
    (folder / "wav/u\u0308ber.wav").write_bytes(b"")  # as macOS writes it
    table = corpus.read(written(folder, "m.csv", "audio,speaker\nwav/über.wav,s\n")).table
    assert Path(table["audio"][0]).is_file()


def test_a_path_of_another_machine_is_met_with_what_lies_below_the_manifest(folder: Path) -> None:
    text = "audio,speaker\nC:\\Users\\anna\\wav\\a.wav,s\n/home/anna/wav/b.wav,s\n/home/anna/wav/d.wav,s\n"
    told = [problem.message for problem in refused(written(folder, "m.csv", text)).problems]
    assert "there is wav/a.wav below the manifest" in told[0] and "there is wav/b.wav below" in told[1]
    assert "below" not in told[2]


def test_decimal_commas_between_commas_are_refused_with_advice(folder: Path) -> None:
    quoted = refused(written(folder, "m.csv", 'audio,speaker,start\nwav/a.wav,s,"0,25"\n'))
    assert "(given: 0,25); write a decimal point" in str(quoted)
    bare = refused(written(folder, "m.csv", "audio,speaker,start\nwav/a.wav,s,0,25\n"))
    assert "decimal comma?" in str(bare)


def test_names_that_differ_in_how_they_are_written_alone_are_alike() -> None:
    names = pl.Series(
        ["Angry", "angry ", "spk_03", "Spk-3", "u\u0308ber", "über", "sad", None, "10", "1", "s100", "s1-00"]
    )
    assert spelling.alike(names) == [("Angry", "angry "), ("Spk-3", "spk_03"), ("u\u0308ber", "über")]
    assert spelling.told([("a", "A")] * 5) == "a and A, a and A, a and A and 2 more"


def test_a_sentence_in_the_audio_column_is_a_problem_and_no_crash(folder: Path) -> None:
    error = refused(written(folder, "m.csv", f"audio,speaker\n{'word ' * 200},s\n"))
    assert places(error) == [(2, "audio")]


def test_ids_do_not_depend_on_where_the_corpus_lies(folder: Path) -> None:
    elsewhere = folder / "lists"
    elsewhere.mkdir()
    relative = corpus.read(written(elsewhere, "m.csv", "audio,speaker\n../wav/a.wav,s\n../wav/b.wav,s\n"))
    assert relative.table["utterance"].to_list() == ["a", "b"]
    assert relative.table["audio"][0] == str(folder / "wav/a.wav")


def test_a_manifest_called_manifest_is_named_after_its_folder(folder: Path) -> None:
    path = written(folder, "manifest.csv", "audio,speaker\nwav/a.wav,s\n")
    assert corpus.read(path).name == folder.name and corpus.read(path, name="x").name == "x"
    assert len(corpus.read(path).digest) == 64


values = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(values, min_size=3, max_size=3), times=st.floats(0, 1e4))
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_is_written_is_read_again(folder: Path, suffix: str, texts: list[str | None], times: float) -> None:
    clean = [None if text is None else corpus.as_text(pl.Series([text]))[0] for text in texts]
    table = pl.DataFrame(
        {
            "utterance": ["u1", "u2", "u3"],
            "audio": [str(folder / name) for name in ("wav/a.wav", "wav/b.wav", "wav/c.flac")],
            "speaker": ["s", "s", "t"],
            "start": [times, 0.0, None],
            "text": pl.Series(clean, dtype=pl.String),
        }
    )
    one = Corpus("x", corpus.complete(table))
    again = corpus.read(corpus.write(one, folder / f"out.{suffix}"))
    assert again.table.equals(one.table)


def test_written_audio_is_relative_and_unknown_columns_are_left_out(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = {"audio": [str(folder / "wav/a.wav")], "speaker": ["s"], "utterance": ["u"]}
    one = Corpus("x", corpus.complete(pl.DataFrame(rows)))
    assert corpus.write(one, folder / "m.csv").read_text() == "utterance,audio,speaker\nu,wav/a.wav,s\n"
    other = corpus.write(one, tmp_path_factory.mktemp("other") / "deep" / "m.tsv")
    assert other.read_text() == f"utterance\taudio\tspeaker\nu\t{folder}/wav/a.wav\ts\n"
    assert corpus.read(other).table.equals(corpus.read(folder / "m.csv").table)


def test_what_a_format_cannot_hold_is_refused_and_nothing_is_left_behind(folder: Path) -> None:
    rows = {"audio": [str(folder / "wav/a.wav")], "speaker": ["s"], "utterance": ["u"], "text": ["a\tb"], "n": [[1]]}
    one = Corpus("x", corpus.complete(pl.DataFrame(rows)))
    for name, word in (("m.csv", "lists"), ("m.tsv", "lists"), ("m.txt", ".csv")):
        with pytest.raises(InvalidInput, match=word):
            corpus.write(one, folder / name)
    with pytest.raises(InvalidInput, match="tabs"):
        corpus.write(Corpus("x", one.table.drop("n")), folder / "m.tsv")
    assert sorted(p.name for p in folder.iterdir()) == ["wav"]


def make(name: str, **columns: list[object]) -> Corpus:
    table = pl.DataFrame({"utterance": ["u"], "audio": ["/a.wav"], "speaker": ["s"], **columns}, strict=False)
    return Corpus(name, corpus.complete(table))


def test_merged_ids_never_meet_and_unknown_stays_unknown() -> None:
    merged = corpus.merge([make("a", session=["1"]), make("b", emotion=["sad"])])
    assert merged.columns[0] == "corpus" and merged["corpus"].to_list() == ["a", "b"]
    assert merged["utterance"].to_list() == ["a/u", "b/u"]
    assert merged["speaker"].to_list() == ["a/s", "b/s"]
    assert merged["session"].to_list() == ["a/1", None]
    assert merged["emotion"].to_list() == [None, "sad"]


def test_merged_types_that_clash_become_text_and_numbers_stay_numbers() -> None:
    merged = corpus.merge(
        [make("a", age=[31], v=[1], w=[2.0], x=[None]), make("b", age=["31"], v=[0.5], w=["2"], x=[1])]
    )
    assert merged["age"].to_list() == ["31", "31"]
    assert merged["v"].to_list() == [1.0, 0.5]
    assert merged["w"].to_list() == ["2", "2"]
    assert merged["x"].to_list() == [None, 1]
    with pytest.raises(InvalidInput, match="called a"):
        corpus.merge([make("a"), make("a")])


def test_real_manifest_with_mapped_columns(real_speech: Path) -> None:
    one = corpus.read(real_speech / "nl_rhasspy" / "manifest.tsv", columns={"audio": "path"})
    assert len(one.table) == 119 and set(one.table["language"]) == {"nl", "nl-BE"}
    assert one.table["text"].null_count() == 0


pieces = st.sampled_from(
    [
        "x",
        "é",
        " ",
        ",",
        "\t",
        ";",
        "\n",
        "\r\n",
        "\r",
        '"',
        '""',
        '"a, b"',
        '"a\tb"',
        '"c\nd"',
        '"e""f"',
        "\x1c",
        "\ufeff",
    ]
)


@settings(max_examples=300, deadline=None)
@given(header=st.sampled_from(["a,b\n", '"a","b",\n', "a;b\n", "a\tb\n", "\n\na,b,c\n", "a\n"]), body=st.lists(pieces))
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_reading_at_once_and_record_by_record_say_the_same(suffix: str, header: str, body: list[str]) -> None:
    def said() -> object:
        try:
            sheet = sheets.read(Path(f"m.{suffix}"), (header + "".join(body)).encode())
        except InvalidInput as error:
            return str(error)
        values = {name: corpus.as_text(column).to_list() for name, column in sheet.columns.items()}
        return values, list(sheet.rows), sheet.problems, sheet.unread

    at_once = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets.delimited, "read", lambda *_, **__: None)
        assert said() == at_once


def test_plain_text_is_read_at_once_and_odd_text_is_not() -> None:
    plain = b'a,b\nx,"one, ""two""\nthree"\r\n\n,\n"",y\n'
    records = delimited.read(plain, ",", quoted=True)
    assert records is not None
    assert records.table.rows() == [("a", "b"), ("x", 'one, "two"\nthree'), (None, None), (None, None), ("", "y")]
    assert list(records.lines) == [1, 2, 4, 5, 6] and records.widths.tolist() == [2, 2, 1, 2, 2]
    for odd in (b'a,b\nx,5" disk\n', b'a,b\nx,"y"z\n', b'a,b\nx,"y\n', b"a,b\rx,y\n", b"a,b\nx,\xff\n", b""):
        assert delimited.read(odd, ",", quoted=True) is None


def test_of_very_many_bad_rows_the_first_are_told_and_all_are_counted(folder: Path) -> None:
    rows = ["wav/a.wav,s,5,1", "wav/none.wav,,,", "wav/a.wav,s"] * 2000
    error = refused(written(folder, "m.csv", "audio,speaker,start,end\n" + "\n".join(rows) + "\n"))
    assert error.summary.endswith("6000 bad rows with 10000 problems; the first 1000 are kept")
    assert len(error.problems) == sheets.KEPT
    assert places(error)[:5] == [(2, "end"), (2, "utterance"), (3, "speaker"), (3, "audio"), (4, None)]
    assert places(error)[-1] == (601, None)


def test_without_audio_ids_are_the_same_and_nothing_is_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "audio,speaker,start,end\nwav/a.wav,s,0,1\n./wav//b.wav,s,,\nwav\\c.flac,t,,\n" + f"{folder}/wav/a.wav,t,1,2\n"
    )
    path = written(folder, "m.csv", text)
    looked = corpus.read(path).table
    assert corpus.read(path, without_audio=True).table.equals(looked)
    for name in ("a.wav", "b.wav", "c.flac"):
        (folder / "wav" / name).unlink()
    asked: list[Path] = []
    monkeypatch.setattr(Path, "is_file", lambda self: bool(asked.append(self)))
    assert corpus.read(path, without_audio=True).table.equals(looked)
    assert {one.name for one in asked} <= {"a.wav"}


def test_without_audio_a_folder_of_clips_is_still_found(folder: Path) -> None:
    (folder / "clips").mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / "clips" / name).write_bytes(b"")
    path = written(folder, "m.csv", "audio,speaker\na.wav,s\nb.wav,s\n")
    assert corpus.read(path, without_audio=True).table.equals(corpus.read(path).table)
    assert places_of(path) == [str(folder / "clips/a.wav"), str(folder / "clips/b.wav")]


def places_of(path: Path) -> list[str]:
    return corpus.read(path, without_audio=True).table["audio"].to_list()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.one_of(
        st.floats(0, 1e13), st.integers(0, 20_000_000).map(lambda half: half / 2000), st.sampled_from([0.0005, 1.0005])
    )
)
def test_ids_hold_times_rounded_as_python_does(folder: Path, start: float) -> None:
    pl.DataFrame({"audio": ["wav/a.wav"], "speaker": ["s"], "start": [start]}).write_parquet(folder / "m.parquet")
    assert corpus.read(folder / "m.parquet").table["utterance"][0] == f"wav/a-{start:.3f}"
