"""`sibboleth check`: a study, or anybody's split lists."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from sibboleth.errors import InvalidInput, RefusedByAudit
from sibboleth.recipes.check import Findings, check

EMODB_SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def shown(findings: Findings, width: int = 100) -> str:
    text = io.StringIO()
    Console(width=width, file=text).print(findings)
    return text.getvalue()


def emobox(folder: Path) -> Path:
    """Write two folds of lists as EmoBox does for EmoDB: all speakers in train and in test, no dev."""
    for fold in (1, 2):
        for part, texts in (("train", ("a01", "a02", "b01")), ("test", ("a04",))):
            lines = [
                f'{{"key": "emodb-{s}{t}{e}{fold}", "dataset": "emodb", "wav": "emodb/wav/{s}{t}{e}{fold}.wav", '
                f'"emo": "{emotion}", "channel": 1}}'
                for s in EMODB_SPEAKERS
                for t in texts
                for e, emotion in (("W", "anger"), ("T", "sad"))
            ]
            write(folder / f"fold_{fold}" / f"emodb_{part}_fold_{fold}.jsonl", "\n".join(lines) + "\n")
    write(folder / "label_map.json", "{}")
    return folder


def crosslingual(folder: Path) -> Path:
    """Write five folds as Crosslingual_SER does for IEMOCAP: eval and test are the same two speakers."""
    for fold in range(5):
        for part in ("train", "eval", "test"):
            sessions = [n for n in range(1, 6) if (n == fold + 1) != (part == "train")]
            lines = [
                f"Ses{n:02d}F_impro0{k}_{sex}{'train eval test'.index(part):03d}.wav,{label}"
                for n in sessions
                for sex in "FM"
                for k in (1, 2)
                for label in ("Sad",) * (k == 1) + ("Angry",) * (k == 2)
            ]
            write(folder / part / f"metadata_fold{fold}.csv", "file,answer\n" + "\n".join(lines) + "\n")
    return folder


def test_the_lists_of_emobox_share_all_speakers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, told = emobox(tmp_path / "emodb"), io.StringIO()
    monkeypatch.setattr("sibboleth.recipes.check.console", Console(file=told))
    with pytest.raises(RefusedByAudit, match=r"Train and test share speakers \(10 of 10 in emodb fold-1; in 2 of 2"):
        check(folder, speaker=r"^(\d\d)")
    assert "warning  no-dev" in told.getvalue()
    findings = {f.name: f for f in check(folder, speaker=r"^(\d\d)", allow=("shared-speakers",))}
    assert findings["shared-speakers"].allowed and findings["shared-speakers"].count == 40
    assert findings["no-dev"].message == "2 of 2 folds have no dev part."


def test_the_lists_of_crosslingual_ser_share_two_speakers_between_eval_and_test(tmp_path: Path) -> None:
    folder = crosslingual(tmp_path / "EN_IEMOCAP")
    findings = {f.name: f for f in check(folder, speaker=r"Ses(\d\d).*_([FM])\d+", allow=("shared-speakers",))}
    assert findings["shared-speakers"].message == (
        "Train and test share no speakers, dev and test share speakers (2 of 2 in EN_IEMOCAP fold-0; in 5 of 5 tests)."
    )
    assert "dev-shares-speakers" not in findings


def test_lists_of_several_corpora_are_audited_together(tmp_path: Path) -> None:
    crosslingual(tmp_path / "both" / "one")
    crosslingual(tmp_path / "both" / "two")
    findings = {
        f.name: f for f in check(tmp_path / "both", speaker=r"Ses(\d\d).*_([FM])\d+", allow=("shared-speakers",))
    }
    assert "in 10 of 10 tests" in findings["shared-speakers"].message


def test_lists_without_speakers_say_that_nothing_can_be_seen(tmp_path: Path) -> None:
    file = write(tmp_path / "lists.csv", "utterance,part\na,train\nb,dev\nc,test\n")
    findings = check(file)
    assert [f.name for f in findings] == ["unknown-speakers"]
    assert "3 of 3" in shown(findings)


def test_one_utterance_in_train_and_test_and_contradicting_speakers(tmp_path: Path) -> None:
    file = write(tmp_path / "lists.csv", "utterance,part,speaker\na,train,x\na,test,x\nb,dev,y\n")
    with pytest.raises(RefusedByAudit, match="shared-utterances.*"):
        check(file)
    file = write(tmp_path / "lists.csv", "utterance,part,speaker,fold\na,train,x,1\na,test,z,2\nb,dev,y,1\n")
    with pytest.raises(InvalidInput, match="utterance a has the speakers x and z"):
        check(file)


def test_audio_beside_the_lists_is_compared(tmp_path: Path, real_speech: Path) -> None:
    wavs = sorted((real_speech / "emodb" / "wav").glob("*"))[:3]
    for name, wav in zip(("a", "b", "c"), (wavs[0], wavs[1], wavs[0]), strict=True):
        shutil.copy(wav, tmp_path / f"{name}{wav.suffix}")
    lines = [f"{n}{wavs[0].suffix},{part},{n}" for n, part in (("a", "train"), ("b", "dev"), ("c", "test"))]
    file = write(tmp_path / "lists.csv", "file,part,speaker\n" + "\n".join(lines) + "\n")
    with pytest.raises(RefusedByAudit, match="identical-audio: Train and test share recordings"):
        check(file)


def test_findings_are_shown_with_grade_name_effect_and_first_utterances(tmp_path: Path) -> None:
    findings = check(emobox(tmp_path / "emodb"), speaker=r"^(\d\d)", allow=("shared-speakers",))
    text = shown(findings)
    assert text.startswith("The audit found 1 error, ")
    assert "error  shared-speakers  (allowed)" in text
    assert "recognise voices" in text and "and 37 more" in text
    assert max(map(len, shown(findings, width=50).splitlines())) <= 50
    assert shown(Findings()) == "The audit found nothing.\n"


def emodb_study(folder: Path, real_speech: Path, splits: str = "", top: str = "") -> Path:
    emotions = {"W": "angry", "F": "happy", "N": "neutral", "T": "sad"}
    rows = [
        f"{file},{file.stem[:2]},{file.stem[2:5]},{emotions[file.stem[5]]}"
        for file in sorted((real_speech / "emodb" / "wav").iterdir())
    ]
    write(folder / "manifest.csv", "audio,speaker,text,emotion\n" + "\n".join(rows) + "\n")
    text = f'name = "s"\n{top}\n[[corpora]]\nname = "emodb"\nmanifest = "manifest.csv"\n[splits]\n{splits}\n'
    return write(folder / "study.toml", text)


def test_a_study_of_real_speech_is_audited(tmp_path: Path, real_speech: Path) -> None:
    names = {f.name: f for f in check(emodb_study(tmp_path, real_speech, 'scheme = "leave-one-speaker-out"'))}
    assert "shared-sentences" in names and "100% of the 339" in names["shared-sentences"].message
    assert not [f for f in names.values() if f.grade == "error"]


def test_random_folds_of_real_speech_are_refused_unless_allowed(tmp_path: Path, real_speech: Path) -> None:
    random = 'scheme = "random-folds"'
    with pytest.raises(RefusedByAudit, match=r'allow = \["shared-speakers"\]'):
        check(emodb_study(tmp_path, real_speech, random))
    findings = check(emodb_study(tmp_path, real_speech, random, 'allow = ["shared-speakers"]'))
    assert [f.name for f in findings if f.allowed] == ["shared-speakers"]


def test_a_study_follows_fixed_lists_beside_it(tmp_path: Path, real_speech: Path) -> None:
    study = emodb_study(tmp_path, real_speech, 'scheme = "file"\nfile = "lists.csv"')
    stems = [file.stem for file in sorted((real_speech / "emodb" / "wav").iterdir())]
    parts = {"03": "test", "08": "dev"}
    write(tmp_path / "lists.csv", "utterance,part\n" + "".join(f"{s}.wav,{parts.get(s[:2], 'train')}\n" for s in stems))
    assert not [f for f in check(study) if f.grade == "error"]
    write(tmp_path / "lists.csv", "utterance,part\nnobody,train\n")
    with pytest.raises(InvalidInput, match="no utterance 'nobody'"):
        check(study)


def test_refused_lists_name_the_option_and_a_refused_study_the_line(tmp_path: Path) -> None:
    for part, rows in {"train": "a,1\nb,2\n", "test": "c,1\nd,3\n"}.items():
        (tmp_path / f"{part}.csv").write_text(f"utterance,speaker\n{rows}")
    with pytest.raises(RefusedByAudit, match="--allow shared-speakers") as caught:
        check(tmp_path)
    assert "study file" not in str(caught.value)
    assert {finding.name for finding in check(tmp_path, allow=("shared-speakers",))} >= {"shared-speakers"}


def study_without_files(folder: Path, scheme: str = "speaker-folds") -> Path:
    rows = [f"{s}-{k}.wav,{s},text {k},{e}" for s in "abcdefgh" for k, e in enumerate(("angry", "sad") * 3)]
    write(folder / "manifest.csv", "audio,speaker,text,emotion\n" + "\n".join(rows) + "\n")
    text = 'name = "s"\n[[corpora]]\nname = "made"\nmanifest = "manifest.csv"\n[splits]\nfolds = 3\n'
    return write(folder / "study.toml", f'{text}scheme = "{scheme}"\n')


def test_without_audio_all_but_the_audio_is_audited_and_what_is_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_without_files(tmp_path)
    with pytest.raises(InvalidInput, match="48 bad rows"):
        check(study)
    monkeypatch.setattr("sibboleth.audio.scan", lambda *_, **__: pytest.fail("audio was looked at"))
    findings = check(study, without_audio=True)
    assert "shared-sentences" in {finding.name for finding in findings}
    told = " ".join(shown(findings).split())
    assert "Not checked, because the audio was not looked at: whether the files are there" in told
    assert "identical recordings" in told and "silence, truncation" in told
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        check(study_without_files(tmp_path, "random-folds"), without_audio=True)


def test_a_study_is_audited_alike_with_and_without_audio(tmp_path: Path, real_speech: Path) -> None:
    study = emodb_study(tmp_path, real_speech)
    heard, unheard = check(study), check(study, without_audio=True)
    assert heard.unchecked is None and "Not checked" not in shown(heard)
    by_name = {finding.name: finding for finding in heard}
    assert unheard and all(by_name[finding.name] == finding for finding in unheard)


def test_lists_are_audited_without_their_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sibboleth.audio.scan", lambda *_, **__: pytest.fail("audio was looked at"))
    (tmp_path / "a.wav").write_bytes(b"")
    file = write(tmp_path / "lists.csv", "file,part,speaker\na.wav,train,x\nb.wav,dev,y\nc.wav,test,z\n")
    assert "Not checked" in shown(check(file, without_audio=True))


def test_a_study_of_two_stages_says_which_labels_of_the_target_it_uses(tmp_path: Path) -> None:
    rows = [
        f"{language}{s}-{k}.wav,{language}{s},{language},{e}"
        for language in ("de", "nl")
        for s in "abcdefgh"
        for k, e in enumerate(("angry", "sad") * 3)
    ]
    write(tmp_path / "manifest.csv", "audio,speaker,language,emotion\n" + "\n".join(rows) + "\n")
    text = 'name = "s"\ndomain = "language"\nregimes = ["two-stage", "few-shot"]\nshots = [2, 64]\nseeds = 3\n'
    text += '[[corpora]]\nname = "made"\nmanifest = "manifest.csv"\n[[methods]]\nname = "lora"\nlora = {}\n'
    findings = {finding.name: finding for finding in check(write(tmp_path / "s.toml", text), without_audio=True)}
    assert "few-shot trains on 2 utterances of each label" in findings["target-labels-train"].message
    assert "few-shot(64) from all domains to de (angry has " in findings["too-few-shots"].message
    with pytest.raises(InvalidInput, match=r"shots = \[\d+\] or fewer"):
        check(
            write(tmp_path / "s.toml", text.replace("[2, 64]", "[64]").replace('"two-stage", ', "")), without_audio=True
        )
