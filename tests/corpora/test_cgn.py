import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth import audio, corpora, corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

HEADER = "type\tcreator\tID\tsex\tbirthYear\tbirthPlace\tbirthRegion\tlanguage\tresRegion\teduPlace\teduRegion\tnotes"
PEOPLE = f"""{HEADER}
PARTICIPANT\tCLS-KUN\tN01001\tsex1\t1970\tNL-65-\tregN1\tSD\tregN2\txxx\txxx\t
PARTICIPANT\tCLS-KUN\tN01002\tsex2\t19nn\txxx\txxx\tSD\tregN2\txxx\txxx\t
PARTICIPANT\tELIS-UG\tV40001\tsex2\t1950\tB-900\tregV2\tregiolect: Gent\tregV1\tB-200\tregV1\tvia Ren\xe9
PARTICIPANT\tELIS-UG\tV40002\tsexX\t1950\tB-880\tregV3\tdialect:Bree\tregV1\txxx\txxx\t
"""
Tier = tuple[str, list[tuple[float, float, str]]]
DUTCH: list[Tier] = [
    ("N01001", [(0.0, 0.4, "ja die*d is mooi."), (0.4, 0.6, ""), (0.6, 1.0, "ggg.")]),
    ("N01002", [(0.0, 0.3, ""), (0.3, 0.7, "Ren\xe9 xxx kof*a "), (0.7, 1.0, 'caf&eacute; ""De Zon""?')]),
    ("UNKNOWN", [(0.0, 0.5, "h\xe9."), (0.5, 1.0, "")]),
    ("BACKGROUND", [(0.0, 1.0, "deur")]),
    ("COMMENT", [(0.0, 1.0, "slecht verstaanbaar")]),
]
FLEMISH: list[Tier] = [("V40001", [(0.0, 1.0, "goedenavond.")]), ("V40002", [(0.2, 0.8, "amai.")])]


def ort(tiers: list[Tier]) -> bytes:
    """Write a TextGrid in the short form, as CGN has it."""
    lines = ['File type = "ooTextFile short"', '"TextGrid"', "", "0.000", "1.000", "<exists>", str(len(tiers))]
    for name, chunks in tiers:
        lines += ['"IntervalTier"', f'"{name}"', "0.000", "1.000", str(len(chunks))]
        lines += [f'{start:.3f}\n{end:.3f}\n"{said}"' for start, end, said in chunks]
    return "\n".join([*lines, ""]).encode("latin-1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    noise = 0.1 * np.random.default_rng(1).standard_normal(16000)
    for name, tiers in (("comp-a/nl/fn000248", DUTCH), ("comp-o/vl/fv800001", FLEMISH)):
        wav, text = tmp_path / f"data/audio/wav/{name}.wav", tmp_path / f"data/annot/text/ort/{name}.ort.gz"
        for file in (wav, text):
            file.parent.mkdir(parents=True)
        soundfile.write(wav, noise, 16000)
        text.write_bytes(gzip.compress(ort(tiers)))
    (tmp_path / "data/annot/text/ort/comp-o/nl").mkdir()
    (tmp_path / "data/annot/text/ort/comp-o/nl/fn009999.ort.gz").write_bytes(b"of no recording")
    (tmp_path / "data/meta/text").mkdir(parents=True)
    (tmp_path / "data/meta/text/speakers.txt").write_bytes(PEOPLE.encode("latin-1"))
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("cgn", root).table
    assert table.select("utterance", "start", "end", "speaker", "text", "session").rows() == [
        ("fn000248-0001", 0.0, 0.4, "N01001", "ja die is mooi.", "fn000248"),
        ("fn000248-0002", 0.0, 0.5, "fn000248-UNKNOWN", "hé.", "fn000248"),
        ("fn000248-0003", 0.3, 0.7, "N01002", "René kof", "fn000248"),
        ("fn000248-0004", 0.6, 1.0, "N01001", None, "fn000248"),
        ("fn000248-0005", 0.7, 1.0, "N01002", 'café "De Zon"?', "fn000248"),
        ("fv800001-0001", 0.0, 1.0, "V40001", "goedenavond.", "fv800001"),
        ("fv800001-0002", 0.2, 0.8, "V40002", "amai.", "fv800001"),
    ]
    assert table["transcript"][2] == "René xxx kof*a" and table["transcript"][3] == "ggg."
    about = table.unique("speaker").sort("utterance")
    columns = ("language", "component", "accent", "dialect", "sex", "birth_year", "spoken", "region", "place")
    assert about.select(columns).rows() == [
        ("nl", "a", "Netherlands", None, "male", 1970, "SD", "regN1", "NL-65-"),
        ("nl", "a", "Netherlands", None, None, None, None, None, None),
        ("nl", "a", "Netherlands", None, "female", None, "SD", "regN2", None),
        ("nl-BE", "o", "Belgium", "Antwerp", "female", 1950, "regiolect: Gent", "regV1", "B-200"),
        ("nl-BE", "o", "Belgium", "West Flanders", None, 1950, "dialect:Bree", "regV3", "B-880"),
    ]


def test_its_chunks_can_be_cut(root: Path) -> None:
    read = corpus.read(prepare("cgn", root)).table
    assert len(read) == 7 and set(audio.scan(read)["status"]) == {"ok"}


def test_another_copy_unpacked_without_metadata_and_folders(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("CGN2")
    (other / "Ort").mkdir()
    soundfile.write(other / "fv800001.flac", np.zeros(16000), 16000)
    (other / "Ort" / "fv800001.ORT").write_bytes(b"\xef\xbb\xbf" + ort(FLEMISH).replace(b"\n", b"\r\n"))
    table = corpora.prepare("cgn", other).table
    assert table["language"].to_list() == ["nl-BE", "nl-BE"] and set(table["accent"]) == {"Belgium"}
    assert "component" not in table.columns and "sex" not in table.columns


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no transcripts \(\.ort or \.ort\.gz\) in it or below\. CGN's folder has"):
        corpora.prepare("cgn", root / "data/audio")
    with pytest.raises(InvalidInput, match="no recordings in it or below"):
        corpora.prepare("cgn", root / "data/annot")
    soundfile.write(root / "data/audio/wav/comp-a/nl/fn000001.wav", np.zeros(160), 16000)
    path = root / "data/annot/text/ort/comp-a/nl/fn000248.ort.gz"
    path.write_bytes(path.read_bytes()[:-20])
    (root / "data/annot/text/ort/comp-o/vl/fv800001.ort.gz").write_bytes(gzip.compress(ort(FLEMISH)[:120]))
    with pytest.raises(InvalidInput, match=r"has no transcript fn000001\.ort or fn000001\.ort\.gz") as caught:
        corpora.prepare("cgn", root)
    told = [(Path(problem.file).name, problem.message) for problem in caught.value.problems]
    assert [name for name, _ in told] == ["fn000001.wav", "fn000248.ort.gz", "fv800001.ort.gz"]
    assert "cannot be unpacked" in told[1][1] and told[2][1] == "a quote is not closed"


def test_a_table_of_speakers_that_is_none_is_named(root: Path) -> None:
    (root / "data/meta/text/speakers.txt").write_text("name\tsex\nA\tsex1\n")
    with pytest.raises(InvalidInput, match="columns ID are missing; there are name, sex"):
        corpora.prepare("cgn", root)
