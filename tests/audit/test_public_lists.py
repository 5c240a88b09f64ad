"""Public split lists with known leaks, written in their own formats: each leak is found by its name, with its numbers.

The counts are those of the published lists (speakers in train and in test, fold by fold); the utterances are fewer.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from sibboleth.audit import Finding
from sibboleth.errors import RefusedByAudit
from sibboleth.recipes.check import check

Row = tuple[str, str]
"""File and label."""


def jsonl(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"key": Path(file).stem, "dataset": "x", "wav": file, "emo": label}) for file, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sheet(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("file,answer\n" + "".join(f"{file},{label}\n" for file, label in rows), encoding="utf-8")


def emobox(folder: Path, folds: Sequence[tuple[Sequence[Row], Sequence[Row]]]) -> Path:
    """Write train and test of every fold as EmoBox does; there is no dev."""
    for number, (train, test) in enumerate(folds, 1):
        for part, rows in (("train", train), ("test", test)):
            jsonl(folder / f"fold_{number}" / f"{folder.name}_{part}_fold_{number}.jsonl", rows)
    (folder / "label_map.json").write_text("{}", encoding="utf-8")
    return folder


def found(folder: Path, speaker: str, *allow: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(folder, speaker=speaker, allow=allow)}


def shared(names: Sequence[str], labels: Sequence[str], pattern: str, folds: int) -> list[tuple[list[Row], list[Row]]]:
    """Put one take of everybody into the test of each fold, and all others into train."""
    rows = {n: [(pattern.format(s, n, e), e) for s in names for e in labels] for n in range(1, folds + 1)}
    return [([row for m in rows if m != n for row in rows[m]], rows[n]) for n in rows]


def apart(names: Sequence[str], labels: Sequence[str], pattern: str, folds: int) -> list[tuple[list[Row], list[Row]]]:
    """Put some people into the test of each fold, and all others into train."""
    rows = {s: [(pattern.format(s, n, e), e) for e in labels for n in (1, 2)] for s in names}
    return [
        (
            [row for at, s in enumerate(names) if at % folds != n for row in rows[s]],
            [row for at, s in enumerate(names) if at % folds == n for row in rows[s]],
        )
        for n in range(folds)
    ]


LEAKING = {
    "emodb": (["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"], "wav/{0}a0{1}{2}.wav", r"^(\d\d)", 5),
    "crema-d": ([str(1001 + n) for n in range(91)], "AudioWAV/{0}_IEO{1}_{2}.wav", r"^(\d{4})_", 1),
    "tess": (["OAF", "YAF"], "{0}/{0}_back{1}_{2}.wav", r"^([A-Z]{3})_", 1),
    "emov-db": (["bea", "jenie", "josh", "sam"], "{0}/{0}_{2}_1-28_000{1}.wav", r"^([a-z]+)_", 1),
    "shemo": ([f"{'FM'[n % 2]}{n:02d}" for n in range(83)], "{0}{2}{1}.wav", r"^([FM]\d\d)", 1),
}


@pytest.mark.parametrize("corpus", LEAKING)
def test_folds_of_emobox_that_share_all_speakers(corpus: str, tmp_path: Path) -> None:
    names, pattern, speaker, folds = LEAKING[corpus]
    folder = emobox(tmp_path / corpus, shared(names, ("A", "S"), pattern, max(folds, 2))[:folds])
    told = f"{len(names)} of {len(names)}"
    where = f"in {folds} of {folds} tests" if folds > 1 else "in the only test"
    with pytest.raises(RefusedByAudit, match=rf"shared-speakers: Train and test share speakers \({told} in .*{where}"):
        check(folder, speaker=speaker)
    assert {"shared-speakers", "no-dev"} <= set(found(folder, speaker, "shared-speakers"))


CLEAN = {
    "ravdess": ([f"{n:02d}" for n in range(1, 25)], "Actor_{0}/03-01-{2}-01-0{1}-01-{0}.wav", r"-(\d\d)\.wav$", 6),
    "subesco": ([f"{'FM'[n % 2]}_{n:02d}" for n in range(20)], "{0}_NAME_S_{1}_{2}.wav", r"^([FM]_\d\d)", 5),
    "emovo": (["f1", "f2", "f3", "m1", "m2", "m3"], "{0}/{2}-{0}-b{1}.wav", r"-([fm]\d)-", 6),
}


@pytest.mark.parametrize("corpus", CLEAN)
def test_clean_folds_have_no_error(corpus: str, tmp_path: Path) -> None:
    names, pattern, speaker, folds = CLEAN[corpus]
    findings = found(emobox(tmp_path / corpus, apart(names, ("05", "04"), pattern, folds)), speaker)
    assert not [finding for finding in findings.values() if finding.grade == "error"]
    assert set(findings) <= {"no-dev", "few-clusters"}


IEMOCAP = r"(Ses\d\d).*_([FM])\d+"
SPOKEN = [
    (f"Ses{session:02d}F_impro0{take}_{sex}00{take}.wav", label)
    for session in range(1, 6)
    for sex in "FM"
    for take in range(1, 9)
    for label in (("Angry", "Sad", "Happy", "Neutral")[take % 4],)
]


def session(row: Row) -> int:
    return int(row[0][3:5])


@pytest.mark.parametrize(("corpus", "people"), [("EN_IEMOCAP", IEMOCAP), ("CN_ESD", r"^(\d{4})_")])
def test_crosslingual_ser_validates_on_the_test_speakers(corpus: str, people: str, tmp_path: Path) -> None:
    esd = [(f"{n:04d}_{take:06d}.wav", ("Angry", "Sad")[take % 2]) for n in range(1, 11) for take in range(8)]
    rows = SPOKEN if corpus == "EN_IEMOCAP" else esd
    for fold in range(5):
        held = [row for n, row in enumerate(rows) if n * 5 // len(rows) == fold]  # two speakers
        for part, some in (
            ("train", [row for row in rows if row not in held]),
            ("eval", held[::2]),
            ("test", held[1::2]),
        ):
            sheet(tmp_path / corpus / part / f"metadata_fold{fold}.csv", some)
    message = found(tmp_path / corpus, people, "shared-speakers")["shared-speakers"].message
    assert "Train and test share no speakers, dev and test share speakers (2 of 2" in message
    assert "in 5 of 5 tests" in message


def test_crosslingual_ser_has_one_german_speaker_and_overlapping_folds(tmp_path: Path) -> None:
    rows = [(f"pavoque-{label.lower()}-{n:03d}.wav", label) for label in ("Angry", "Sad") for n in range(30)]
    for fold in range(5):
        test = rows[fold * 4 : fold * 4 + 10] + rows[30 + fold * 4 : 40 + fold * 4]  # each shares with the next
        for part, some in (("train", [row for row in rows if row not in test]), ("test", test)):
            sheet(tmp_path / "DE_PAVOQUE" / part / f"metadata_fold{fold}.csv", some)
    findings = found(tmp_path / "DE_PAVOQUE", "^(pavoque)", "shared-speakers")
    assert "(1 of 1" in findings["shared-speakers"].message
    assert {"repeated-test", "one-speaker-domain", "no-dev"} <= set(findings)
    assert findings["repeated-test"].count == 36


def test_speechbrain_splits_iemocap_at_random(tmp_path: Path) -> None:
    for part, some in (("train", SPOKEN[::2] + SPOKEN[1::8]), ("valid", SPOKEN[3::8]), ("test", SPOKEN[5::4])):
        sheet(tmp_path / "iemocap" / f"{part}.csv", some)
    findings = found(tmp_path / "iemocap", IEMOCAP, "shared-speakers", "shared-utterances")
    message = findings["shared-speakers"].message
    assert "Train and test share speakers (10 of 10" in message and "dev and test share speakers (10 of 10" in message
    assert "dev-shares-speakers" in findings


def test_superb_draws_dev_from_the_training_sessions(tmp_path: Path) -> None:
    for fold in range(1, 6):
        rest = [row for row in SPOKEN if session(row) != fold]
        for part, some in (
            ("train", [row for n, row in enumerate(rest) if n % 5]),
            ("dev", rest[::5]),
            ("test", [row for row in SPOKEN if session(row) == fold]),
        ):
            sheet(tmp_path / "superb" / f"fold{fold}" / f"{part}.csv", some)
    findings = found(tmp_path / "superb", IEMOCAP)
    assert not [finding for finding in findings.values() if finding.grade == "error"]
    assert findings["dev-shares-speakers"].message == "Train and dev share speakers in 5 of 5 fits."


def test_leave_one_session_out_with_whole_dev_speakers_is_clean(tmp_path: Path) -> None:
    for fold in range(1, 6):
        for part, some in (
            ("train", [row for row in SPOKEN if session(row) not in (fold, fold % 5 + 1)]),
            ("dev", [row for row in SPOKEN if session(row) == fold % 5 + 1]),
            ("test", [row for row in SPOKEN if session(row) == fold]),
        ):
            sheet(tmp_path / "loso" / f"fold{fold}" / f"{part}.csv", some)
    assert set(found(tmp_path / "loso", IEMOCAP)) <= {"few-clusters"}
