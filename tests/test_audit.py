"""The audit: planted leaks and confounds are found with their numbers, clean material is left in peace."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sibboleth import splits
from sibboleth.audit import NAMES, Evidence, Finding, audit, coverage, refuse
from sibboleth.audit.pretraining import trained_with_labels
from sibboleth.errors import InvalidInput, RefusedByAudit
from sibboleth.splits import REGIMES, USUAL, Fit, SplitSettings, fits, folds
from sibboleth.targets import Target

LABELS = ("angry", "sad")
EMOTION = Target(name="emotion", labels=LABELS)


def material(speakers: int = 12, domains: str = "AB", each: int = 2) -> pl.DataFrame:
    """Make a clean corpus: every speaker says every label, every utterance in words of its own."""
    rows = [
        {
            "corpus": d,
            "speaker": f"{d}/s{n:02d}",
            "session": f"{d}/s{n:02d}",
            "emotion": label,
            "text": f"{d}{n}{label}{k}",
        }
        for d in domains
        for n in range(speakers)
        for label in LABELS
        for k in range(each)
    ]
    numbered = [{"utterance": f"{row['corpus']}/{i:03d}", "audio": f"/x/{i}.wav", **row} for i, row in enumerate(rows)]
    return pl.DataFrame(numbered)


def planned(
    table: pl.DataFrame, scheme: str = "speaker-folds", regimes: tuple[str, ...] = USUAL[:2]
) -> tuple[Fit, ...]:
    divided = folds(table, "corpus", "emotion", SplitSettings(scheme=scheme), 0)  # type: ignore[arg-type]
    return fits(divided, regimes, table)  # type: ignore[arg-type]


def found(table: pl.DataFrame, made: tuple[Fit, ...] | None = None, **more: object) -> dict[str, Finding]:
    made = planned(table) if made is None else made
    findings = audit(table, made, target=EMOTION, domain="corpus", **more)  # type: ignore[arg-type]
    assert all(finding.name in NAMES for finding in findings)
    assert all(
        set(finding.utterances) <= set(table["utterance"]) for finding in findings if "left" not in finding.message
    )
    return {finding.name: finding for finding in findings}


def one_fold(table: pl.DataFrame, train: list[int], dev: list[int], test: list[int]) -> tuple[Fit, ...]:
    tested = (splits.Test("within", "A", np.array(test, dtype=np.int64)),)
    return (Fit("A", "fold-1", np.array(train, dtype=np.int64), np.array(dev, dtype=np.int64), tested),)


def scanned(table: pl.DataFrame, digests: list[str]) -> pl.DataFrame:
    return table.select("utterance", pl.Series("digest", digests), pl.lit("ok").alias("status"))


def test_clean_material_has_no_finding() -> None:
    table = material()
    assert found(table, scan=scanned(table, table["utterance"].to_list()), encoders=["logmel"]) == {}


def test_random_folds_share_speakers_and_sessions() -> None:
    table = material(domains="A")
    findings = found(table, planned(table, "random-folds"))
    shared = findings["shared-speakers"]
    assert shared.grade == "error" and not shared.allowed
    assert shared.message.startswith("Train and test share speakers (")
    assert "in 5 of 5 tests" in shared.message
    assert {"shared-speakers", "shared-sessions", "dev-shares-speakers"} <= set(findings)


def test_a_planted_speaker_leak_is_told_with_its_utterances() -> None:
    table = material(speakers=3, domains="A")
    findings = found(table, one_fold(table, [0, 1, 2, 3], [4, 5], [8, 3, 5]))
    assert findings["shared-utterances"].utterances == ("A/003", "A/005")
    leak = findings["shared-speakers"]
    assert leak.message == (
        "Train and test share speakers (1 of 3 in A fold-1; in the only test), "
        "dev and test share speakers (1 of 3 in A fold-1; in the only test)."
    )
    assert leak.utterances == ("A/003", "A/005") and leak.count == 2


def test_a_session_shared_by_two_speakers() -> None:
    table = material(domains="A").with_columns(session=pl.col("speaker").str.slice(0, 4) + "x")
    fitted = planned(table, "leave-one-speaker-out")
    assert "shared-speakers" not in found(table, fitted)
    assert "leave-one-session-out" in found(table, fitted)["shared-sessions"].effect
    unknown = table.with_columns(session=pl.lit(None, pl.String))
    assert "shared-sessions" not in found(unknown)


def test_a_planted_duplicate_is_found_across_parts_within_a_part_and_with_two_labels() -> None:
    table = material(domains="A")
    digests = table["utterance"].to_list()
    digests[46] = digests[0]
    findings = found(table, scan=scanned(table, digests))
    assert set(findings) >= {"identical-audio", "duplicate-audio", "contradicting-labels"}
    assert findings["identical-audio"].utterances == ("A/000", "A/046")
    assert findings["duplicate-audio"].message.startswith("2 utterances are 1 recording")
    same_label = scanned(table, ["same" if i in (0, 1) else d for i, d in enumerate(table["utterance"])])
    assert set(found(table, scan=same_label)) == {"duplicate-audio"}
    assert set(found(table, scan=same_label.with_columns(digest=pl.lit(None, pl.String)))) == set()


def test_a_label_of_a_single_speaker_is_an_error_but_a_label_of_speakers_a_warning() -> None:
    table = material(domains="A")
    first = pl.col("speaker") == "A/s00"
    lone = table.with_columns(emotion=pl.when(first).then(pl.lit("odd")).otherwise("emotion"))
    confound = found(lone)["label-speaker-confound"]
    assert confound.grade == "error" and confound.count == 4
    assert confound.message == "1 label spoken by a single speaker only: odd in A (of 12 speakers)."
    accent = table.with_columns(emotion=pl.when(pl.col("speaker") < "A/s06").then(pl.lit("x")).otherwise(pl.lit("y")))
    assert found(accent)["label-follows-speaker"].grade == "warning"
    assert "label-speaker-confound" not in found(accent)


def test_domains_of_one_class_of_one_speaker_of_few_and_of_other_labels() -> None:
    table = pl.concat([material(domains="A"), material(speakers=4, domains="B"), material(speakers=1, domains="C")])
    table = table.with_columns(emotion=pl.when(pl.col("corpus") == "B").then(pl.lit("sad")).otherwise("emotion"))
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3, test_only=("C",)), 0)
    findings = found(table, fits(divided, USUAL[:2], table))
    assert findings["one-class-domain"].grade == "error"
    assert "B (only sad)" in findings["one-class-domain"].message
    assert findings["one-speaker-domain"].message == "1 domain spoken by one speaker: C."
    assert findings["few-clusters"].message == "1 domain tested by fewer than 10 speakers: B (4)."
    assert findings["different-labels"].message == "The label sets of the domains differ: B has no angry."
    angry = table.filter(pl.col("emotion") == "angry")["utterance"].to_list()
    assert sorted(findings["different-labels"].utterances) == sorted(angry)  # the label that B does not have
    assert "no single chance level exists" in findings["different-labels"].effect
    assert "leave out the domains without them" in findings["different-labels"].effect
    favoured = table.filter((pl.col("emotion") == "sad") == (pl.col("corpus") == "B"))["utterance"].to_list()
    assert sorted(findings["label-domain-confound"].utterances) == sorted(favoured)


def test_different_labels_name_those_that_all_have() -> None:
    table = pl.concat(
        [material(), material(domains="A").with_columns(emotion=pl.lit('b"d'), utterance="x" + pl.col("utterance"))]
    )
    finding = found(table)["different-labels"]
    assert 'target.labels = ["angry", "sad"].' in finding.effect
    assert finding.count == 48 and all(name.startswith("x") for name in finding.utterances)


def test_an_impossible_pair_is_a_warning_with_the_rows_that_are_taken_out() -> None:
    table = material(domains="ABC").with_columns(pl.col("speaker", "session").str.replace("^B", "A"))
    divided = folds(table, "corpus", "emotion", SplitSettings(test_only=("B",)), 0)
    made = fits(divided, USUAL[:2], table)
    finding = found(table, made, impossible=made.impossible)["impossible-pair"]
    assert (
        finding.grade == "warning"
        and "1 pair of source and target not tried: A to B under zero-shot." in finding.message
    )
    assert "hole" in finding.effect
    used = np.concatenate([divided["A"][0].train, divided["A"][0].dev])
    assert set(finding.utterances) == set(table["utterance"].gather(used.tolist()))


def test_sentences_are_compared_by_their_words() -> None:
    table = material(domains="A").with_columns(text=pl.col("emotion"))
    finding = found(table)["shared-sentences"]
    assert finding.grade == "warning" and "100% of the 48 test utterances" in finding.message
    half = table.with_columns(text=pl.when(pl.int_range(pl.len()) % 2 == 0).then("text").otherwise(None))
    assert "100% of the 24 test utterances" in found(half)["shared-sentences"].message


def test_target_selected_says_how_many_labels_it_uses() -> None:
    table = material()
    finding = found(table, planned(table, regimes=USUAL))["target-labels-select"]
    assert finding.grade == "warning" and f"{finding.count} utterances" in finding.message


def test_imbalance_missing_classes_unknown_speakers_and_unused_rows() -> None:
    table = material(domains="A", each=6).with_row_index("n")
    rare = table.filter((pl.col("emotion") == "sad") | ((pl.col("n") % 6 == 0) & (pl.col("n") < 36))).drop("n")
    findings = found(rare)
    assert "A (sad 72, angry 3)" in findings["class-imbalance"].message
    angry = tuple(rare.filter(pl.col("emotion") == "angry")["utterance"])
    assert findings["class-imbalance"].utterances == angry
    assert findings["missing-class"].message.startswith("A label of the domain is missing from")
    assert findings["missing-class"].utterances == angry
    plain = material(domains="A")
    unknown = plain.with_columns(speaker=pl.when(pl.col("utterance") < "A/002").then(None).otherwise("speaker"))
    findings = found(unknown, one_fold(plain, [4, 6], [8, 10], [0, 2]))
    assert findings["unknown-speakers"].utterances == ("A/000", "A/001")
    assert findings["unused-utterances"].grade == "note" and findings["unused-utterances"].count == 42


def test_lists_without_dev_and_with_overlapping_tests() -> None:
    table = material(domains="A")
    one, two = one_fold(table, [4, 6], [], [0, 2])[0], one_fold(table, [8, 10], [12, 14], [0, 16])[0]
    findings = found(table, (one, dataclasses.replace(two, fold="fold-2")))
    assert findings["no-dev"].message == "1 of 2 folds have no dev part."
    assert findings["no-dev"].utterances == ("A/004", "A/006")
    assert findings["repeated-test"].utterances == ("A/000",)


def test_excluded_rows_are_a_warning_unless_the_study_chose_so() -> None:
    table = material()
    excluded = pl.DataFrame(
        {"utterance": ["A/x", "A/y"], "reason": ["label bored is not asked for", "the file is empty"]}
    )
    findings = found(table, excluded=excluded)
    assert findings["excluded-audio"].utterances == ("A/y",)
    assert findings["excluded-audio"].message == "1 utterance left out because of the audio: the file is empty (1)."
    assert findings["unasked-utterances"].grade == "note"
    several = [f"end {end} s is beyond its end at 1.5 s" for end in ("20", "30.25")]
    excluded = pl.DataFrame({"utterance": ["A/x", "A/y", "A/z"], "reason": [*several, "the file is empty"]})
    message = found(table, excluded=excluded)["excluded-audio"].message
    assert f"{several[0]} (2 alike), the file is empty (1)" in message


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        ("facebook/wav2vec2-base-960h", True),
        ("facebook/wav2vec2-base-960h@main", True),
        ("facebook/hubert-large-ls960-ft", True),
        ("facebook/wav2vec2-large-xlsr-53-german", True),
        ("openai/whisper-base", True),
        ("superb/wav2vec2-base-superb-er", True),
        ("facebook/mms-1b-all", True),
        ("patrickvonplaten/wavlm-libri-clean-100h-base-plus", True),
        ("facebook/wav2vec2-base", False),
        ("facebook/hubert-base-ls960", False),
        ("facebook/wav2vec2-base-de-voxpopuli-v2", False),
        ("TencentGameMate/chinese-wav2vec2-base", False),
        ("facebook/wav2vec2-large-xlsr-53", False),
        ("facebook/wav2vec2-xls-r-300m", False),
        ("facebook/mms-300m", False),
        ("microsoft/wavlm-base-plus", False),
        ("facebook/w2v-bert-2.0", False),
        ("facebook/data2vec-audio-base", False),
        ("microsoft/unispeech-sat-base", False),
        ("untrained:whisper-tiny", False),
        ("logmel", False),
    ],
)
def test_encoders_trained_with_labels_are_known_by_name(name: str, labelled: bool) -> None:
    assert trained_with_labels(name) == labelled


def test_encoders_trained_with_labels_are_known_by_their_configuration(tmp_path: Path) -> None:
    for head, labelled in (("Wav2Vec2ForCTC", True), ("Wav2Vec2ForPreTraining", False), ("WavLMModel", False)):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [head]}))
        assert trained_with_labels(str(tmp_path)) == labelled
    table = material()
    assert found(table, encoders=["mine"], fine_tuned=["mine"])["labelled-encoder"].message == (
        "1 encoder trained with labels: mine."
    )


def test_allowed_errors_stay_and_are_marked_and_others_stop() -> None:
    table = material(domains="A")
    made = planned(table, "random-folds")
    errors = audit(table, made, target=EMOTION, domain="corpus", allow=["shared-speakers"])
    assert [f.grade for f in errors] == sorted((f.grade for f in errors), key=("error", "warning", "note").index)
    assert {f.name: f.allowed for f in errors if f.grade == "error"} == {
        "shared-speakers": True,
        "shared-sessions": False,
    }
    with pytest.raises(RefusedByAudit) as caught:
        refuse(errors)
    told = str(caught.value)
    assert caught.value.exit_code == 1
    assert 'allow = ["shared-speakers", "shared-sessions"]' in told
    assert "shared-sessions: Train and test share sessions" in told and "shared-speakers: " not in told
    refuse(audit(table, made, target=EMOTION, domain="corpus", allow=["shared-speakers", "shared-sessions"]))
    with pytest.raises(InvalidInput, match="no finding is called speakers; there are .*shared-speakers"):
        audit(table, made, target=EMOTION, domain="corpus", allow=["speakers"])


def test_a_record_keeps_the_first_utterances_and_the_count() -> None:
    finding = Finding("shared-speakers", "error", "m", "e", tuple(str(n) for n in range(80)))
    record = finding.record()
    assert list(record) == ["name", "grade", "message", "effect", "utterances", "allowed", "count"]
    assert record["count"] == 80 and record["utterances"] == [str(n) for n in range(50)]
    json.dumps(record)


def test_neither_order_nor_names_change_what_is_found() -> None:
    table = material(speakers=4).with_columns(text=pl.lit("one sentence"))
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    split = SplitSettings(folds=3)
    both = []
    for one in (table, shuffled):
        divided = folds(one, "corpus", "emotion", split, 0)
        made = fits(divided, REGIMES, one, target="emotion", shots=(1, 8), draws=2)
        findings = audit(one, made, target=EMOTION, domain="corpus", scarce=made.scarce)
        both.append([finding.record() for finding in findings])
    assert len(both[0]) > 2
    assert [(r["name"], r["message"], sorted(r["utterances"])) for r in both[0]] == [  # type: ignore[call-overload]
        (r["name"], r["message"], sorted(r["utterances"]))
        for r in both[1]  # type: ignore[call-overload]
    ]


def test_numbers_as_target_need_no_labels() -> None:
    table = material().with_columns(emotion=pl.int_range(pl.len()).cast(pl.Float64))
    target = Target(name="emotion", kind="regression")
    assert audit(table, planned(table), target=target, domain="corpus") == []


def test_segments_behind_the_end_of_their_recording_are_named() -> None:
    told = [f'[{{"start": 0.0, "end": {end}, "label": "sad"}}]' for end in (2.0, 2.05, 200.0)]
    table = pl.DataFrame({"utterance": ["a", "b", "c"], "segments": told, "corpus": "x"})
    scan = pl.DataFrame({"utterance": ["a", "b", "c"], "seconds": 2.0})
    target = Target(name="segments", kind="segmentation", labels=("sad",))
    finding = coverage.segments_beyond_audio(Evidence(table, (), target, "corpus", scan))
    assert finding is not None and finding.grade == "warning" and finding.utterances == ("c",)
    assert (
        "1 utterance with segments" in finding.message and "c lasts 2 s, and is labelled until 200 s" in finding.message
    )
    assert coverage.segments_beyond_audio(Evidence(table[:2], (), target, "corpus", scan[:2])) is None
