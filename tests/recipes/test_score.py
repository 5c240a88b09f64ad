import csv
from pathlib import Path

import jiwer
import numpy as np
import polars as pl
import pytest
import sklearn.metrics as oracle
from rich.console import Console

from sibboleth import predictions
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.recipes.score import Scored, score

TRANSCRIPTS = """\
utterance,speaker,accent,reference,hypothesis
u1,s1,US,"Hello, world! How are you?",hello world how are you
u2,s1,US,the cat sat,the cat sat
u3,s2,US,a dog ran away,a dog run away
u4,s2,US,the quick brown fox,the quick brown fox
u5,s3,Scottish,the quick brown fox,the quick crown socks
u6,s3,Scottish,a dog ran away,dog ran a way
u7,s4,Scottish,the cat sat,
u8,s4,Scottish,hello world,hello whirled
"""
LABELS = ["angry", "happy", "sad"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def number(result: Scored, metric: str, part: str = "all", rater: str | None = None) -> dict[str, float]:
    wanted = (pl.col("metric") == metric) & (pl.col("slice") == part)
    rows = result.scores.filter(wanted if rater is None else wanted & (pl.col("rater") == rater)).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


def page(result: Scored, width: int = 140) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(result)
    return capture.get()


def warnings_of(result: Scored) -> str:
    return "\n".join(note for note in result.notes if note.startswith("WARNING"))


@pytest.fixture
def emotions(tmp_path: Path) -> Path:
    """Two systems' answers as a European spreadsheet saves them, all in one file."""
    rng = np.random.default_rng(0)
    lines = ["file;model;prediction;emotion;speaker;sex"]
    for k in range(60):
        true = rng.integers(3)
        for system, skill in (("hubert", 0.7), ("wavlm", 0.5)):
            said = true if rng.random() < skill else rng.integers(3)
            lines.append(f"a/{k}.wav;{system};{LABELS[said]};{LABELS[true]};s{k % 10};{'fm'[k % 2]}")
    return write(tmp_path / "emotions.csv", "\n".join(lines) + "\n")


def test_word_error_rate_by_accent(tmp_path: Path) -> None:
    result = score((write(tmp_path / "asr.csv", TRANSCRIPTS),), by=("accent",), resamples=200)
    rows = list(csv.DictReader(TRANSCRIPTS.splitlines()))
    plain = [(r["reference"].lower().replace(",", "").replace("!", "").replace("?", ""), r["hypothesis"]) for r in rows]
    assert number(result, "wer")["estimate"] == pytest.approx(jiwer.wer(*map(list, zip(*plain, strict=True))))
    scottish = number(result, "wer", "accent=Scottish")
    assert scottish["estimate"] == pytest.approx(jiwer.wer(*map(list, zip(*plain[4:], strict=True))))
    assert scottish["n"] == 4 and scottish["clusters"] == 2
    assert scottish["low"] < scottish["estimate"] < scottish["high"]
    us = number(result, "wer", "accent=US")["estimate"]
    assert number(result, "wer_gap", "accent=Scottish,accent=US")["estimate"] == pytest.approx(
        scottish["estimate"] - us
    )
    shown = page(result)
    assert "accent: Scottish behind US" in shown
    assert "accent: mean of groups" in shown
    assert "WER" in shown and "CER" in shown
    assert "only 4 speakers" in warnings_of(result) and "0.125" in warnings_of(result)
    assert "1 empty transcript answered" in warnings_of(result)
    assert any("'basic'" in note for note in result.notes)


def test_normalisation_is_applied_alike_and_can_be_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "asr.csv", TRANSCRIPTS)
    assert number(score((file,), normalise="none"), "wer")["estimate"] > number(score((file,)), "wer")["estimate"]
    with pytest.raises(SibbolethError, match="unknown text normalisation 'whisper'"):
        score((file,), normalise="whisper")


DUTCH = """\
utterance,speaker,accents,language,reference,hypothesis
u1,s1,Belgisch Nederlands,nl,'k heb 21 euro.,ik heb eenentwintig euro
u2,s1,Belgisch Nederlands,nl,da's nie veel,dat is niet veel
u3,s2,Nederlands Nederlands,nl,Het kost 3 €,het kost drie euro
u4,s3,zachte g,nl,goesting,zin
"""


def test_texts_are_normalised_by_language_and_what_changed_is_listed(tmp_path: Path) -> None:
    file = write(tmp_path / "asr.csv", DUTCH)
    assert number(score((file,), normalise="dutch", resamples=100), "wer")["estimate"] == pytest.approx(1 / 13)
    mine = write(tmp_path / "mine.csv", "written,spoken\ngoesting,zin\n")
    listed = tmp_path / "changed.csv"
    result = score((file,), normalise="dutch", spellings=mine, changed=listed, resamples=100)
    assert number(result, "wer")["estimate"] == 0
    assert "texts of both sides were normalised by the rule 'dutch'" in result.notes
    assert "spellings of mine.csv were put over those of the rule 'dutch'" in result.notes
    assert result.written == (listed,)
    rows = pl.read_csv(listed).filter(pl.col("rule") == "dutch").select("side", "written", "counted_as", "times").rows()
    assert ("reference", "'k", "ik", 1) in rows and ("reference", "goesting", "zin", 1) in rows
    assert not [row for row in rows if row[0] == "hypothesis"]


def test_what_is_changed_is_of_transcripts_alone(emotions: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="only transcripts are normalised, and the answers are of classification"):
        score((emotions,), target="emotion", changed=tmp_path / "changed.csv")
    with pytest.raises(InvalidInput, match="the output ends in one of"):
        score((emotions,), target="emotion", changed=tmp_path / "changed.txt")
    with pytest.raises(InvalidInput, match="'basic' has no spellings"):
        score((emotions,), target="emotion", spellings=tmp_path / "mine.csv")


def test_accents_are_told_from_what_speakers_say(tmp_path: Path) -> None:
    file = write(tmp_path / "asr.csv", DUTCH)
    result = score((file,), normalise="dutch", accents="built-in", by=("accent",), resamples=100)
    assert number(result, "wer", "accent=Belgium")["n"] == 2
    assert "asr.csv: accents: 3 known, 1 not in the table" in result.notes
    assert "not in the table of accents: 'zachte g' (1)" in "\n".join(result.notes)
    assert "1 utterance without accent, in no slice of it" in warnings_of(result)
    with pytest.raises(InvalidInput, match="--accents: no file has a column that says anything of accents"):
        score((write(tmp_path / "plain.csv", "utterance,reference,hypothesis\nu,a,a\n"),), accents="built-in")


def test_unicode_in_two_forms_is_one_text_unless_nothing_is_normalised(tmp_path: Path) -> None:
    text = "utterance,speaker,reference,hypothesis\nu1,s1,caf\u00e9,cafe\u0301\nu2,s2,ja,ja\n"
    file = write(tmp_path / "asr.csv", text)
    for name in ("basic", "english", "dutch", "german", "mandarin"):
        assert number(score((file,), normalise=name, resamples=100), "wer")["estimate"] == 0
    raw = score((file,), normalise="none", resamples=100)
    assert number(raw, "wer")["estimate"] == 0.5
    assert "1 hypothesis text not in composed Unicode (NFC)" in warnings_of(raw)


def test_labels_of_two_systems(emotions: Path) -> None:
    result = score((emotions,), target="emotion", by=("sex",), resamples=200)
    table = pl.read_csv(emotions, separator=";").filter(pl.col("model") == "wavlm")
    expected = oracle.balanced_accuracy_score(table["emotion"], table["prediction"])
    assert number(result, "uar", rater="wavlm")["estimate"] == pytest.approx(expected)
    assert number(result, "uar", rater="wavlm")["clusters"] == 10
    pair = result.comparisons.filter(pl.col("slice") == "all").to_dicts()[0]
    uar = [number(result, "uar", rater=rater)["estimate"] for rater in ("hubert", "wavlm")]
    assert pair["difference"] == pytest.approx(uar[0] - uar[1])
    assert pair["p"] <= pair["p_holm"] <= 1
    shown = page(result)
    assert "A minus B" in shown and "hubert" in shown and "sex: " in shown
    assert "by label" in shown and "angry" in shown
    assert not warnings_of(result)


def test_two_files_are_two_systems(tmp_path: Path) -> None:
    truth = "utterance,label,speaker\nu1,a,s1\nu2,b,s1\nu3,a,s2\n"
    one = write(tmp_path / "one.csv", "utterance,prediction\nu1,a\nu2,b\nu3,b\n")
    two = write(tmp_path / "two.csv", "utterance,prediction\nu1,a\nu2,a\nu3,a\n")
    result = score((one, two), reference=write(tmp_path / "truth.csv", truth), resamples=100)
    assert set(result.scores["rater"]) == {"one", "two"}
    assert number(result, "accuracy", rater="one")["estimate"] == pytest.approx(2 / 3)
    assert len(result.comparisons) == 1


@pytest.mark.parametrize("prefix", ["p_", "prob_", ""])
def test_posteriors(tmp_path: Path, prefix: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([1] * 3, 50)
    true = rng.integers(0, 3, 50)
    named = {f"{prefix}{label}": weights[:, k] for k, label in enumerate(LABELS)}
    frame = pl.DataFrame({"utt_id": [f"u{k}" for k in range(50)], **named, "label": [LABELS[k] for k in true]})
    frame = frame.with_columns(spk=pl.Series([f"s{k % 12}" for k in range(50)]))
    frame.write_csv(tmp_path / "p.tsv", separator="\t")
    frame.write_parquet(tmp_path / "p.parquet")
    frame.write_ndjson(tmp_path / "p.jsonl")
    found = [score((tmp_path / f"p.{suffix}",), resamples=100) for suffix in ("tsv", "parquet", "jsonl")]
    for result in found:
        assert number(result, "cross_entropy")["estimate"] == pytest.approx(oracle.log_loss(true, weights))
        assert number(result, "uar")["clusters"] == 12
        assert result.scores.drop("run", "rater").equals(found[0].scores.drop("run", "rater"))


def test_numbers_are_a_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    lines = [f"u{k},{a},{b},s{k % 11}" for k, (a, b) in enumerate(zip(x, y, strict=True))]
    file = write(tmp_path / "v.csv", "\n".join(["id,valence,prediction,speaker", *lines]))
    result = score((file,), target="valence", resamples=100)
    assert number(result, "pearson")["estimate"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    whole = write(
        tmp_path / "w.csv", "id,reference,prediction\n" + "".join(f"u{k},{k % 5},{k % 4}\n" for k in range(20))
    )
    classes = score((whole,), resamples=100)
    assert classes.target.kind == "classification"
    assert any("--kind regression" in note for note in classes.notes)
    assert score((whole,), kind="regression", resamples=100).target.kind == "regression"


def test_our_own_table_with_its_reference_rows(tmp_path: Path) -> None:
    common = {"run": "r", "utterance": ["u1", "u2", "u3"], "target": "emotion", "value": 1.0}
    table = pl.concat([
        predictions.table(common | {"source": "reference", "rater": "corpus", "label": ["a", "b", "b"]}),
        predictions.table(common | {"source": "model", "rater": "layer-03", "layer": 3, "label": ["a", "b", "a"]}),
    ])  # fmt: skip
    table.write_parquet(tmp_path / "predictions.parquet")
    table.write_csv(tmp_path / "predictions.csv")
    for name in ("predictions.parquet", "predictions.csv"):
        result = score((tmp_path / name,), resamples=100)
        assert result.target.name == "emotion"
        assert number(result, "uar")["estimate"] == 0.75
        assert number(result, "uar")["layer"] == 3
    manifest = write(tmp_path / "manifest.csv", "utterance,emotion,speaker\nu1,a,s1\nu2,a,s1\nu3,a,s2\n")
    result = score((tmp_path / "predictions.csv",), reference=manifest, resamples=100)
    assert number(result, "accuracy")["estimate"] == pytest.approx(2 / 3)


def test_listeners_as_a_soft_reference(tmp_path: Path) -> None:
    rows = [
        (r, u, label)
        for r, said in (("ann", "aab"), ("ben", "abb"), ("cem", "abb"))
        for u, label in zip(("u1", "u2", "u3"), said, strict=True)
    ]
    listeners = predictions.table({
        "run": "test", "source": "listener", "target": "emotion", "value": 1.0,
        "rater": [r for r, _, _ in rows], "utterance": [u for _, u, _ in rows], "label": [x for _, _, x in rows],
    })  # fmt: skip
    listeners.write_csv(tmp_path / "listeners.csv")
    answers = write(tmp_path / "model.csv", "utterance,prediction\nu1,a\nu2,a\nu3,b\n")
    result = score((answers,), reference=tmp_path / "listeners.csv", resamples=100)
    assert number(result, "accuracy")["estimate"] == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert any("soft" in note for note in result.notes)
    soft = write(tmp_path / "soft.csv", "utterance,p_a,p_b\nu1,3,0\nu2,1,2\nu3,0,3\n")
    same = score((answers,), reference=soft, resamples=100)
    assert number(same, "accuracy")["estimate"] == pytest.approx(number(result, "accuracy")["estimate"])


def test_unmatched_utterances_are_counted_never_dropped_silently(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.csv", "utterance,label\n" + "".join(f"u{k},{'ab'[k % 2]}\n" for k in range(20)))
    answers = write(
        tmp_path / "a.csv", "utterance,prediction\n" + "".join(f"u{k},{'ab'[k % 2]}\n" for k in range(15, 30))
    )
    result = score((answers,), reference=truth, resamples=100)
    assert number(result, "uar")["n"] == 5
    assert "10 answered utterances without a reference left out: u20, u21" in warnings_of(result)
    assert "a answers 5, not u0, u1, u10" in warnings_of(result).replace("a of a", "a")
    apart = write(tmp_path / "b.csv", "utterance,prediction\nv0.wav,a\n")
    with pytest.raises(InvalidInput, match="ids do not meet.*v0.wav.*u0, u1"):
        score((apart,), reference=truth)


def test_what_a_listening_test_exports_is_scored_against_the_manifest_of_one_corpus(tmp_path: Path) -> None:
    said = {"de/u1": "a", "de/u2": "b", "pl/u9": "a"}
    columns = "run,source,rater,utterance,start,end,target,trial,layer,label,value\n"
    rows = (
        f"t,listener,L1,{name},,,emotion,0,,{label},1\nt,listener,L1,{name},,,emotion.confidence,0,,,4\n"
        for name, label in said.items()
    )
    answers = write(tmp_path / "predictions.csv", columns + "".join(rows))
    truth = write(tmp_path / "de.csv", "utterance,speaker,emotion\nu1,x,a\nu2,y,a\n")
    result = score((answers,), reference=truth, resamples=100)
    assert number(result, "accuracy")["estimate"] == 0.5 and number(result, "accuracy")["n"] == 2
    assert any("called de/..." in note for note in result.notes)
    assert "1 answered utterance without a reference left out: pl/u9" in warnings_of(result)


def test_a_manifest_of_paths_meets_answers_that_name_recordings(tmp_path: Path) -> None:
    lines = [f"wav/{who}{take}.wav,{who},{label}" for who in "abcd" for take, label in ((1, "sad"), (2, "angry"))]
    manifest = write(tmp_path / "manifest.csv", "\n".join(["audio,speaker,emotion", *lines]))
    for end in ("", ".wav", ".flac"):
        said = "\n".join(["utterance,label", *(f"{who}{take}{end},sad" for who in "abcd" for take in (1, 2))])
        result = score((write(tmp_path / "said.csv", said),), reference=manifest, resamples=100)
        assert number(result, "accuracy")["estimate"] == 0.5 and number(result, "accuracy")["clusters"] == 4
        assert f"8 utterances known by the recording's name, such as a1{end} as wav/a1.wav" in result.notes
    twice = write(tmp_path / "twice.csv", "utterance,label\na1,sad\na1.wav,sad\n")
    with pytest.raises(InvalidInput, match="two answered utterances have the name of one recording: a1, a1.wav"):
        score((twice,), reference=manifest)
    several = write(tmp_path / "several.csv", manifest.read_text() + "\nother/a1.wav,e,sad")
    with pytest.raises(InvalidInput, match="'a1' may be any of other/a1.wav, wav/a1.wav; use the same"):
        score((tmp_path / "said.csv", twice), reference=several)


def test_without_speakers_it_says_so_loudly(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv", "id,pred,truth\n" + "".join(f"{k},{'ab'[k % 2]},{'ab'[k % 3 % 2]}\n" for k in range(30))
    )
    result = score((file,), resamples=100)
    assert "no speakers are known" in warnings_of(result)
    assert number(result, "uar")["clusters"] == 30
    assert "no speakers are known" in page(result)


def test_labels_that_the_reference_never_has(tmp_path: Path) -> None:
    text = "id,pred,truth,speaker\n1,a,a,s\n2,disgust,b,s\n3,b,b,t\n"
    result = score((write(tmp_path / "a.csv", text),), resamples=100)
    assert "never has count as wrong: disgust" in warnings_of(result)
    assert number(result, "uar")["estimate"] == 0.75
    with pytest.raises(InvalidInput, match="share no label: answers have A, B, the reference has a, b"):
        score((write(tmp_path / "b.csv", "id,pred,truth\n1,A,a\n2,B,b\n"),))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("utterance,prediction,label\nu1,a,a\nu1,b,a\n", {}, r"a\.csv:3: \[utterance\] .* answered twice"),
        ("utterance,prediction,label\nu1,a,a\nu2,,a\n", {}, r"a\.csv:3: \[prediction\] no label \(it is empty\)"),
        ("utterance,prediction,label\nu1,a,a\n,b,a\n", {}, r"a\.csv:3: \[utterance\] the utterance id is missing"),
        ("utterance,model,prediction,label\nu1,x,a,a\nu1,y,a,b\n", {}, r"a\.csv:3: .*two different references"),
        ("utterance,p_a,p_b,label\nu1,1,0,a\nu2,x,0,b\n", {}, r"a\.csv:3: \[p_a\] not a finite number \(given: 'x'\)"),
        ("utterance,p_a,p_b,label\nu1,-2.5,1,a\nu2,1,0,b\n", {}, r"a\.csv:2: \[p_a\] .*negative.*\(given: '-2.5'\)"),
        ("utterance,p_a,p_b,label\nu1,0,0,a\nu2,1,0,b\n", {}, r"a\.csv:2: .*all weights are zero"),
        ("utterance,label\nu1,a\n", {}, r"no column of reference answers; name it with --target.*utterance, label"),
        ("utterance,emotion,said\nu1,a,a\n", {}, r"no column of answers; name it with --answer"),
        ("who,prediction,label\nu1,a,a\n", {}, r"no column of utterance ids; name it with --utterance"),
        ("utterance,prediction,label\nu1,a,a\n", {"answer": "said"}, r"no column 'said' for the answer"),
        ("utterance,prediction,label\nu1,a,a\n", {"target": "mood"}, r"no column 'mood' for the reference"),
        ("utterance,prediction,label\nu1,a,a\n", {"by": ("accent",)}, r"--by accent: no file has this column"),
        ("utterance,prediction,label\nu1,a,a\n", {"speaker": "spk"}, r"--speaker spk: no file has this column"),
        ("utterance,prediction,label\nu1,a,a\n", {"rater": "x"}, r"no column 'x' for the rater"),
        ("utterance,prediction,label\nu1,a,a\nu2,a\n", {}, r"a\.csv:3:.*2 values where the header has 3"),
        ("utterance,prediction,label\n", {}, r"a\.csv: has no rows"),
        ("utterance,prediction,label\nu1,a,a\n", {"output": Path("s.xlsx")}, r"s\.xlsx: the output ends in"),
        ("utterance,model,prediction,label,sex\nu1,x,a,a,f\nu1,y,a,a,m\n", {"by": ("sex",)}, r"3: \[sex\] 'm', but"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_with_file_row_and_field(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        score((write(tmp_path / "a.csv", text),), **options)  # type: ignore[arg-type]


def test_absent_and_unknown_files(tmp_path: Path) -> None:
    for name in ("absent.csv", "a.xlsx"):
        with pytest.raises(InvalidInput, match=name):
            score((tmp_path / name,))
    with pytest.raises(InvalidInput, match="no file"):
        score(())


def test_latin_1_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("utterance,prediction,label\nu1,wütend,wütend\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"a\.csv:2: not UTF-8"):
        score((file,))


def test_scores_and_comparisons_are_written_whole(emotions: Path, tmp_path: Path) -> None:
    for name in ("out/scores.csv", "out/scores.parquet"):
        result = score((emotions,), target="emotion", resamples=100, output=tmp_path / name)
        assert [path.name for path in result.written] == [
            Path(name).name,
            Path(name).stem + "-comparisons" + Path(name).suffix,
        ]
        read = pl.read_csv if name.endswith("csv") else pl.read_parquet
        assert read(result.written[0])["metric"].to_list() == result.scores["metric"].to_list()
        assert read(result.written[1]).columns == result.comparisons.columns
    assert sorted(p.suffix for p in (tmp_path / "out").iterdir()) == [".csv", ".csv", ".parquet", ".parquet"]


def test_order_of_rows_changes_nothing_and_a_single_path_will_do(emotions: Path, tmp_path: Path) -> None:
    header, *rows = emotions.read_text().splitlines()
    np.random.default_rng(0).shuffle(rows)
    (tmp_path / "other").mkdir()
    shuffled = write(tmp_path / "other" / "emotions.csv", "\n".join([header, *rows]))
    first = score(emotions, target="emotion", by=("sex",), resamples=100)  # type: ignore[arg-type]
    second = score((shuffled,), target="emotion", by=("sex",), resamples=100)
    assert first.scores.equals(second.scores)
    assert first.comparisons.equals(second.comparisons)


def test_many_raters_are_scored_but_not_paired(tmp_path: Path) -> None:
    lines = [f"u{u},r{r},{'ab'[(u + r) % 2]},{'ab'[u % 2]}" for u in range(6) for r in range(9)]
    result = score((write(tmp_path / "a.csv", "\n".join(["utterance,listener,answer,truth", *lines])),), resamples=100)
    assert result.scores["rater"].n_unique() == 9
    assert result.comparisons.is_empty()
    assert any("too many to compare" in note for note in result.notes)


def test_seeds_are_trials(tmp_path: Path) -> None:
    lines = [f"u{u},{seed},{'ab'[(u + seed) % 2]},{'ab'[u % 2]},s{u}" for u in range(12) for seed in (0, 1)]
    result = score(
        (write(tmp_path / "a.csv", "\n".join(["utterance,seed,answer,truth,speaker", *lines])),), resamples=100
    )
    assert number(result, "accuracy")["estimate"] == 0.5
    assert number(result, "accuracy")["n"] == 24


def test_the_page_fits_a_narrow_terminal(emotions: Path) -> None:
    shown = page(score((emotions,), target="emotion", by=("sex",), resamples=100), width=80)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_real_manifest_as_reference(real_speech: Path, tmp_path: Path) -> None:
    manifest = real_speech / "nl_rhasspy" / "manifest.tsv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    heard = [" ".join(r["text"].split()[:-1]) if r["language"] == "nl-BE" else r["text"] for r in rows]
    lines = [f'{r["path"]},"{text.replace(chr(34), chr(34) * 2)}"' for r, text in zip(rows, heard, strict=True)]
    answers = write(tmp_path / "whisper.csv", "\n".join(["path,hypothesis", *lines]))
    result = score((answers,), reference=manifest, by=("language",), resamples=100)
    assert number(result, "wer", "language=nl")["estimate"] == 0
    assert (
        number(result, "deletions", "language=nl-BE")["estimate"] == number(result, "wer", "language=nl-BE")["estimate"]
    )
    assert number(result, "wer", "language=nl-BE")["estimate"] > 0.05
    assert "only 2 speakers" in warnings_of(result)
    assert np.isnan(number(result, "wer", "language=nl-BE")["low"])  # one speaker each


def test_people_are_also_scored_as_one_group_and_compared_with_a_system(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines, machine = ["utterance,listener,response"], ["utterance,prediction"]
    truth = ["utterance,emotion,speaker"]
    for k in range(48):
        true = rng.integers(3)
        truth.append(f"u{k},{LABELS[true]},s{k % 8}")
        machine.append(f"u{k},{LABELS[true if rng.random() < 0.99 else rng.integers(3)]}")
        for person in range(6):
            heard = true if rng.random() < 0.3 + 0.1 * person else rng.integers(3)
            lines.append(f"u{k},p{person},{LABELS[heard]}")
    heard_, said, reference = (
        write(tmp_path / name, "\n".join(rows) + "\n")
        for name, rows in (("test.csv", lines), ("wavlm.csv", machine), ("truth.csv", truth))
    )
    alone = score((heard_,), reference=reference, resamples=200)
    assert "6 people" not in set(alone.scores["rater"])
    result = score((heard_,), reference=reference, people=True, resamples=200)
    row = number(result, "uar", rater="6 people")
    assert (row["n"], row["clusters"], row["raters"]) == (48 * 6, 8, 6)
    assert len(result.comparisons) == 0  # people are not set against each other
    assert any("6 raters of test are one group of people" in note and "few" in note for note in result.notes)
    table = pl.read_csv(heard_).with_columns(pl.lit("test").alias("study")).rename({"listener": "rater"})
    ours = predictions.table(
        {
            "run": "test",
            "source": "listener",
            "rater": table["rater"],
            "utterance": table["utterance"],
            "target": "emotion",
            "label": table["response"],
            "value": 1.0,
        }
    )
    ours.write_parquet(tmp_path / "listeners.parquet")
    both = score((tmp_path / "listeners.parquet", said), reference=reference, target="emotion", resamples=200)
    pair = both.comparisons.filter(pl.col("slice") == "all").to_dicts()[0]
    assert {pair["a_rater"], pair["b_rater"]} == {"6 people", "wavlm"}
    assert {pair["a_raters"], pair["b_raters"]} == {6, 1} and pair["p"] < 0.05
    assert "6 people" in page(both)


@pytest.mark.parametrize(("speakers", "said"), [(4, "warned"), (12, "noted"), (29, "noted"), (30, "")])
def test_what_intervals_from_few_speakers_hold_is_said(tmp_path: Path, speakers: int, said: str) -> None:
    lines = [f"u{k},s{k % speakers},{LABELS[k % 3]},{LABELS[k * k % 3]}" for k in range(90)]
    path = write(tmp_path / "answers.csv", "\n".join(["utterance,speaker,emotion,prediction", *lines]))
    result = score(path, resamples=100)
    told = [note for note in result.notes if "an interval meant to hold 95 % held" in note]
    assert len(told) == bool(said)
    assert ("only 4 speakers" in warnings_of(result)) == (said == "warned")
    assert all(note.startswith(f"{speakers} speakers: with so many") for note in told) or said == "warned"
