"""Files of segments: what is written comes back, what is wrong is named with its row, and nothing else is raised."""

import json
import warnings
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sibboleth import segments
from sibboleth.errors import InvalidInput
from sibboleth.segments import Segments
from sibboleth.segments.table import table

FAST = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
name = st.text(st.characters(categories=("L", "N"), include_characters="-_'"), min_size=1, max_size=6)
label = st.text(st.characters(categories=("L", "N", "P", "Zs"), include_characters='"!<'), min_size=1, max_size=8).map(
    lambda text: "x" + text.strip()
)
seconds = st.floats(0, 100, allow_subnormal=False)


@st.composite
def some(
    draw: st.DrawFn, labels: st.SearchStrategy[str] = label, overlap: bool = False, tiers: bool = True
) -> Segments:
    rows, durations = [], {}
    heard, lengths = draw(st.lists(name, max_size=3, unique_by=str.casefold)), draw(st.booleans())
    for utterance in heard:
        for tier in draw(st.sampled_from([(None,), ("emotion", "phone")] if tiers else [(None,)])):
            times = sorted(draw(st.lists(seconds, max_size=6, unique=True)))
            pairs = zip(times, times[1:], strict=False) if overlap else zip(times[::2], times[1::2], strict=False)
            rows += [(utterance, a, b, draw(labels), tier) for a, b in pairs]
            if overlap and len(times) > 2:
                rows.append((utterance, times[0], times[-1], draw(labels), tier))
        durations[utterance] = 100.0
    durations = durations if lengths else {}
    silent = frozenset(u for u in heard if u not in durations and not any(row[0] == u for row in rows))
    return Segments(table(list(dict.fromkeys(rows))), durations, silent)


def same(found: Segments, wanted: Segments, *, tiers: bool = True) -> None:
    columns = ["utterance", "start", "end", "label", *(["tier"] if tiers else [])]
    order = ["utterance", "start", "end", "label"]
    assert found.table.select(columns).sort(columns).rows() == wanted.table.select(columns).sort(columns).rows(), order
    assert found.notes == ()


def whole(found: Segments, wanted: Segments) -> None:
    same(found, wanted)
    assert (dict(found.durations), found.silent) == (dict(wanted.durations), wanted.silent)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".jsonl", ".parquet"])
@given(wanted=some(overlap=True))
@FAST
def test_what_is_written_comes_back(tmp_path: Path, suffix: str, wanted: Segments) -> None:
    segments.write(wanted, tmp_path / f"all{suffix}")
    found = segments.read(tmp_path / f"all{suffix}") if wanted.utterances or suffix == ".json" else wanted
    whole(found, wanted)


@given(wanted=some())
@FAST
def test_a_folder_of_textgrids_comes_back_and_praatio_reads_it_alike(
    tmp_path_factory: pytest.TempPathFactory, wanted: Segments
) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    folder = tmp_path_factory.mktemp("grids")
    files = segments.write(wanted, folder, ".TextGrid")
    if not files:
        return
    found = segments.read(folder)
    same(found, wanted)
    for file, utterance in zip(files, wanted.utterances, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grid = textgrid.openTextgrid(str(file), includeEmptyIntervals=False)
        theirs = {(a, b, text) for tier in grid.tiers for a, b, text in tier.entries}
        assert theirs == set(wanted.of(utterance))


@given(wanted=some(labels=name, overlap=True, tiers=False))
@FAST
def test_rttm_comes_back_to_the_last_digit(tmp_path: Path, wanted: Segments) -> None:
    segments.write(wanted, tmp_path / "all.rttm")
    same(segments.read(tmp_path / "all.rttm"), wanted, tiers=False)


@given(wanted=some(overlap=True, tiers=False))
@FAST
def test_audacity_labels_come_back(tmp_path_factory: pytest.TempPathFactory, wanted: Segments) -> None:
    folder = tmp_path_factory.mktemp("labels")
    if segments.write(wanted, folder, ".txt"):
        same(segments.read(folder), wanted, tiers=False)


@given(wanted=some(overlap=True))
@FAST
def test_a_manifest_s_column_comes_back(wanted: Segments) -> None:
    column = segments.in_manifest(wanted)
    found = segments.of_manifest(column, Path())
    whole(found, wanted)
    if column["segments"].str.contains("label").any():  # as JSONL has them
        lists = pl.Series("segments", [json.loads(one) for one in column["segments"]], strict=False)
        same(segments.of_manifest(column.with_columns(lists), Path()), wanted)


SEEDS = {
    ".json": b'{"a": {"duration": 2, "emotion": [{"emo": "sad", "start": 0, "end": 1}]}}',
    ".rttm": b"SPEAKER a 1 0.5 1.0 <NA> <NA> sad <NA> <NA>\n",
    ".TextGrid": b'"ooTextFile" "TextGrid" 0 2 <exists> 1 "IntervalTier" "e" 0 2 1 0 2 "sad"',
    ".txt": b"0.5\t1.5\tsad\n",
    ".lablaut": b"signal a\n#\n 0.5 -1 a\n",
    ".csv": b"utterance,start,end,label\na,0.5,1,sad\n",
    ".tsv": b"utterance\tstart\tend\tlabel\na\t0.5\t1\tsad\n",
    ".jsonl": b'{"utterance": "a", "start": 0, "end": 1, "label": "sad"}\n',
}


@pytest.mark.parametrize("suffix", list(SEEDS))
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_but_invalid_input_is_raised(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    seed = SEEDS[suffix]
    place = data.draw(st.integers(0, len(seed)))
    gone = data.draw(st.integers(0, 8))
    put = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"nan", b"-1", b"1e999", b'"', b"\n", b"\xff\xfe", b"[]", b"null"])
    )
    file = tmp_path / f"a{suffix}"
    file.write_bytes(seed[:place] + put + seed[place + gone :])
    try:
        found = segments.read(file).table
    except InvalidInput as error:
        assert str(file) in str(error)
    else:
        assert (found["start"] >= 0).all() and (found["end"] > found["start"]).all()


SHORT = """File type = "ooTextFile short"
"TextGrid"

0
2.5
<exists>
2
"IntervalTier"
"emotion"
0
2.5
3
0
0.5
""
0.5
1.25
"sad ""so"" sad"
1.25
2.5
"happy"
"TextTier"
"clicks"
0
2.5
1
1.5
"click"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_the_short_form_in_the_encodings_of_praat(tmp_path: Path, encoding: str) -> None:
    text = SHORT.replace("happy", "fröhlich").replace("\n", "\r\n")
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "a.TextGrid").write_bytes(mark + text.encode(encoding))
    found = segments.read(tmp_path / "a.TextGrid")
    assert found.of("a") == [(0.5, 1.25, 'sad "so" sad'), (1.25, 2.5, "fröhlich")]
    assert found.durations == {"a": 2.5}
    assert len(found.notes) == 1 and "'clicks' has points" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "row", "word"),
    [
        (("0.5\n1.25", "1.5\n1.25"), 16, "ends before it starts"),
        (('"happy"', "happy"), 24, "expected the name of a tier; found '0'"),
        (("\n3\n0\n", "\nthree\n0\n"), 14, "expected the class of a tier; found '0.5'"),
        (('"click"', '"click'), 28, "a quote is not closed"),
        (("2.5\n3\n", "2.5\n" + "3" * 5000 + "\n"), 12, "expected the number of intervals, a whole number"),
    ],
)
def test_a_broken_textgrid_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], row: int, word: str) -> None:
    (tmp_path / "a.TextGrid").write_text(SHORT.replace(*change))
    with pytest.raises(InvalidInput, match=word) as caught:
        segments.read(tmp_path / "a.TextGrid")
    assert [(one.file, one.row) for one in caught.value.problems] == [(str(tmp_path / "a.TextGrid"), row)]


BAD = """utterance;start;end;label
a;0,5;1,25;sad
a;3;2;sad
;0;1;sad
b;soon;1;sad
b;-1;1;sad
b;0;inf;happy
"""


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text(BAD)
    with pytest.raises(InvalidInput) as caught:
        segments.read(tmp_path / "all.csv")
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [
        (3, "end"),
        (4, "utterance"),
        (5, "start"),
        (6, "start"),
        (7, "end"),
    ]


def test_unsorted_overlapping_empty_and_late_segments_a_mark_and_decimal_commas(tmp_path: Path) -> None:
    rows = ["utterance;start;end;label;duration", "a;2,5;3,5;sad;3", "a;0;1,5;happy;", "a;1;2;sad;", "a;1;1;sad;"]
    rows += ["a;4;5;sad;", "b;;;;2"]
    (tmp_path / "all.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    found = segments.read(tmp_path / "all.csv")
    assert found.of("a") == [(0.0, 1.5, "happy"), (1.0, 2.0, "sad"), (2.5, 3.0, "sad")]
    assert found.durations == {"a": 3.0, "b": 2.0} and found.utterances == ["a", "b"]
    told = [note.split(": ", 1) if not note.startswith("W") else note[9:].split(": ", 1) for note in found.notes]
    assert [place.rsplit(":", 1)[1] for place, _ in told] == ["5", "6", "2"]
    assert [said.split(" (")[0] for _, said in told] == [
        "1 segment without length left out",
        "1 segment behind the end of the recording left out",
        "1 segment cut at the end of the recording",
    ]


def test_rttm_of_other_tools(tmp_path: Path) -> None:
    lines = [";; a comment", "SPKR-INFO a 1 <NA> <NA> <NA> unknown sad <NA> <NA>", ""]
    lines += ["SPEAKER a 1 1.50 0.50 <NA> <NA> sad <NA>", "SPEAKER a 1 0 1 <NA> <NA> happy <NA> <NA>"]
    (tmp_path / "all.rttm").write_text("\n".join(lines))
    found = segments.read(tmp_path / "all.rttm")
    assert found.of("a") == [(0.0, 1.0, "happy"), (1.5, 2.0, "sad")]
    assert found.notes == (f"{tmp_path / 'all.rttm'}: passed over lines that are no segments (1 of type SPKR-INFO)",)
    (tmp_path / "all.rttm").write_text("SPEAKER a 1 1.50 -0.50 <NA> <NA> sad <NA> <NA>\nSPEAKER a 1\n")
    with pytest.raises(InvalidInput) as caught:
        segments.read(tmp_path / "all.rttm")
    assert [problem.row for problem in caught.value.problems] == [1, 2]


def test_rttm_with_numbers_beyond_decimals(tmp_path: Path) -> None:
    tiny = f"1e-{'9' * 20}"
    (tmp_path / "a.rttm").write_text(f"SPEAKER a 1 {tiny} 1.25 <NA> <NA> sad <NA> <NA>\n")
    assert segments.read(tmp_path / "a.rttm").of("a") == [(0.0, 1.25, "sad")]


def test_phones_of_emodb(tmp_path: Path) -> None:
    lines = ["signal x", "nfields 1", "#", "    0.08   -1 _t", "    0.12   -1 !t\t+asp", "    0.24   -1 a\t\t2"]
    lines += ["    0.30   -1 \t-lar", "    0.36   -1 ."]
    (tmp_path / "03a01Faxx.lablaut").write_text("\n".join(lines))
    phones = [(0.0, 0.08, "_t"), (0.08, 0.12, "!t"), (0.12, 0.30, "a"), (0.30, 0.36, ".")]
    assert segments.read(tmp_path).of("03a01Fa") == phones
    assert segments.read(tmp_path / "03a01Faxx.lablaut").of("03a01Fa") == phones


def test_real_phones_and_real_segments(real_speech: Path) -> None:
    found = segments.read(real_speech / "emodb" / "lablaut")
    assert len(found.utterances) == 339 and found.table["utterance"].str.len_chars().unique().to_list() == [7]
    assert [note.rsplit("/", 1)[1] for note in found.notes] == ["08a01Waxx.lablaut: has no phones"]
    assert found.of("03a01Fa")[:2] == [(0.0, 0.080109, "_t"), (0.080109, 0.11916, "!t")]
    zed = segments.read(real_speech / "zed" / "ZED.json")
    assert len(zed.table) == len(zed.durations) == 180 and zed.notes == ()
    assert zed.of("spk1_1") == [(3.763, 6.144, "angry")]


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    both = Segments(table([("a", 0.0, 2.0, "sad", None), ("a", 1.0, 3.0, "very happy", None)]))
    for path, suffix, word in (("grids", ".TextGrid", "overlap at 1 s"), ("all.rttm", None, "blanks in 'very happy'")):
        with pytest.raises(InvalidInput, match=word):
            segments.write(both, tmp_path / path, suffix)
    outside = Segments(table([("../a", 0.0, 2.0, "sad", None)]))
    with pytest.raises(InvalidInput, match="no name for a file"):
        segments.write(outside, tmp_path / "labels", ".txt")
    assert not list(tmp_path.rglob("*.*"))
    with pytest.raises(InvalidInput, match="not a file of segments"):
        segments.read(tmp_path / "all.docx")


def test_paths_in_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("0.5\t1\tsad\n")
    (tmp_path / "all.rttm").write_text("SPEAKER b 1 0 1 <NA> <NA> happy <NA> <NA>\n")
    manifest = pl.DataFrame(
        {"utterance": ["x/a", "x/b", "x/c", "x/d"], "segments": ["one.txt", "all.rttm", None, "[]"], "duration": 2.0}
    )
    found = segments.of_manifest(manifest, tmp_path)
    assert found.of("x/a") == [(0.5, 1.0, "sad")] and found.of("x/b") == [(0.0, 1.0, "happy")]
    assert found.durations == {"x/a": 2.0, "x/b": 2.0, "x/d": 2.0}
    wrong = manifest.with_columns(
        segments=pl.Series(["none.txt", "[1]", '[{"start": 1, "end": 0, "label": "sad"}]', "["])
    )
    with pytest.raises(InvalidInput) as caught:
        segments.of_manifest(wrong, tmp_path)
    assert [problem.row for problem in caught.value.problems] == [1, 2, 3, 4]
    impossible = pl.Series(["/", f"{'x' * 5000}.rttm", "x\0.rttm", "\0"])
    with pytest.raises(InvalidInput) as caught:
        segments.of_manifest(manifest.with_columns(segments=impossible), tmp_path)
    assert [problem.row for problem in caught.value.problems] == [1, 2, 3, 4]
    assert all("cannot be read" in problem.message for problem in caught.value.problems)


def test_runs_of_frames() -> None:
    assert segments.runs(["n", "n", None, "a", "a", "b"], 0.5) == [(0.0, 1.0, "n"), (1.5, 2.5, "a"), (2.5, 3.0, "b")]
    assert segments.runs([], 0.5) == segments.runs([None], 0.5) == []
