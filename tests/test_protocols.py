"""Published protocols: their files are sound, a study takes what they say, and the audit sees what they leak."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sibboleth import protocols, splits
from sibboleth import study as studies
from sibboleth.audit import audit, refuse
from sibboleth.errors import InvalidInput, RefusedByAudit
from sibboleth.splits import Fits, SplitSettings
from sibboleth.study import Study
from sibboleth.targets import Target

LABELS = ("angry", "happy", "neutral", "sad")
KIND = Target(name="emotion", kind="classification", labels=LABELS)
FOLDER = Path(protocols.__file__).parent


def iemocap(each: int = 5) -> pl.DataFrame:
    """Make a table in IEMOCAP's shape: five sessions of two speakers, four labels."""
    rows = [
        (f"iemocap/Ses0{session}{sex}_{label}{take}", f"iemocap/Ses0{session}{sex}", f"iemocap/Ses0{session}", label)
        for session in range(1, 6)
        for sex in "FM"
        for label in LABELS
        for take in range(each)
    ]
    table = pl.DataFrame(rows, schema=["utterance", "speaker", "session", "emotion"], orient="row")
    return table.with_columns(
        audio="/there/" + pl.col("utterance") + ".wav", corpus=pl.lit("iemocap"), text=pl.lit(None, pl.String)
    )


def made(table: pl.DataFrame, settings: SplitSettings, seed: int = 0) -> Fits:
    divided = splits.folds(table, "corpus", "emotion", settings, seed)
    return splits.fits(divided, ("within",), table)


def study(folder: Path, protocol: str, more: str = "", top: str = "") -> Study:
    path = folder / "study.toml"
    path.write_text(
        f'name = "one"\nprotocol = "{protocol}"\n{top}\n[[corpora]]\nname = "iemocap"\nmanifest = "m.csv"\n{more}'
    )
    return studies.read(path)


def speakers(table: pl.DataFrame, rows: np.ndarray) -> set[str]:
    return set(table["speaker"].gather(rows.tolist()))


@pytest.mark.parametrize("name", protocols.names())
def test_every_protocol_makes_a_study_and_allows_no_leak(name: str) -> None:
    protocol = protocols.read(name)
    table = {"name": "x", "corpora": [{"name": protocol.corpora[0].name, "manifest": "m.csv"}]}
    filled = protocols.completed(table, protocol)
    if filled["splits"]["scheme"] == "file":
        filled["splits"] = {**filled["splits"], "file": "lists"}
    made = Study.model_validate(filled)
    assert made.allow == ()
    assert made.regimes == ("within",)
    assert made.splits.dev_unit == protocol.study.splits.get("dev_unit", "speaker")


@pytest.mark.parametrize("name", protocols.names())
def test_every_number_has_a_source_and_is_the_mean_of_its_folds(name: str) -> None:
    protocol = protocols.read(name)
    assert protocol.flaws
    for number in protocol.published:
        assert protocol.sources[number.source].url.startswith("https://")
        assert 1 / 13 < number.value < 1
        if number.folds:
            assert len(number.folds) == 5
            assert np.mean(number.folds) == pytest.approx(number.value, abs=1.5e-4)
    numbers = [(n.corpus, n.encoder, n.layers, n.metric) for n in protocol.published]
    assert len(set(numbers)) == len(numbers)


def test_an_unknown_key_in_a_protocol_names_its_line(tmp_path: Path) -> None:
    text = (FOLDER / "superb-er.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text.replace('average = "folds"', 'average = "folds"\nallow = ["shared-speakers"]'))
    line = path.read_text().splitlines().index('allow = ["shared-speakers"]') + 1
    with pytest.raises(InvalidInput, match=rf"own.toml:{line}: \[allow\] unknown key"):
        protocols.read(str(path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "leaderboard"\n\n[[', 'source = "hearsay"\n\n[[', "hearsay"),
        ('called = "wav2vec 2.0 Base"', 'called = "wav2vec 2.0 Base"\ncorpus = "emodb"', "emodb"),
        ("value = 0.6343", "value = 63.43", "less than or equal to 1"),
    ],
)
def test_numbers_that_lead_nowhere_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text((FOLDER / "superb-er.toml").read_text().replace(old, new))
    with pytest.raises(InvalidInput, match=said):
        protocols.read(str(path))


def test_a_study_takes_the_protocol_and_its_own_words_win(tmp_path: Path) -> None:
    plain = study(tmp_path, "superb-er")
    assert plain.target.labels == LABELS
    assert (plain.splits.scheme, plain.splits.dev, plain.splits.dev_unit) == ("leave-one-session-out", 0.2, "utterance")
    assert plain.probe.kind == "linear"
    own = study(tmp_path, "superb-er", '[splits]\ndev = 0.3\n[probe]\nkind = "mlp"\nepochs = 7\n')
    assert (own.splits.scheme, own.splits.dev, own.splits.dev_unit) == ("leave-one-session-out", 0.3, "utterance")
    assert own.probe.kind == "mlp"
    assert Study.model_validate(own.model_dump()) == own


def test_an_unknown_protocol_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"study.toml:2: \[protocol\] no such protocol; there are emobox"):
        study(tmp_path, "superb")
    with pytest.raises(InvalidInput, match="gone.toml: no such file"):
        study(tmp_path, "gone.toml")


def test_a_protocol_of_ones_own_lies_beside_the_study(tmp_path: Path) -> None:
    text = (FOLDER / "iemocap-loso.toml").read_text().replace("dev = 0.25", "dev = 0.5")
    (tmp_path / "lab.toml").write_text(text)
    assert study(tmp_path, "lab.toml").splits.dev == 0.5


def test_leaving_one_session_out_tests_two_speakers_in_each_of_five_folds(tmp_path: Path) -> None:
    table = iemocap()
    fits = made(table, study(tmp_path, "iemocap-loso").splits)
    assert len(fits) == 5
    tested = []
    for fit in fits:
        (test,) = fit.tests
        sessions = set(table["session"].gather(fit.dev.tolist()))
        assert len(sessions) == 1
        assert len(speakers(table, test.rows)) == 2
        assert len(speakers(table, fit.dev)) == 2
        parts = [speakers(table, rows) for rows in (fit.train, fit.dev, test.rows)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 10
        tested += test.rows.tolist()
    assert sorted(tested) == list(range(len(table)))
    names = {f.name for f in audit(table, fits, target=KIND, domain="corpus")}
    assert "dev-shares-speakers" not in names


def test_superbs_dev_has_the_speakers_of_train_and_the_audit_warns(tmp_path: Path) -> None:
    table = iemocap()
    fits = made(table, study(tmp_path, "superb-er").splits)
    assert len(fits) == 5
    for fit in fits:
        (test,) = fit.tests
        rest = len(fit.train) + len(fit.dev)
        assert len(fit.train) == int(0.8 * rest)
        assert rest + len(test.rows) == len(table)
        assert len(speakers(table, fit.train) & speakers(table, fit.dev)) == 8
        assert not speakers(table, test.rows) & (speakers(table, fit.train) | speakers(table, fit.dev))
    findings = audit(table, fits, target=KIND, domain="corpus")
    assert {f.name: f.grade for f in findings}["dev-shares-speakers"] == "warning"
    refuse(findings)


def test_a_dev_drawn_at_random_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    settings = SplitSettings(scheme="leave-one-session-out", dev_unit="utterance")

    def devs(table: pl.DataFrame, seed: int = 0) -> list[list[str]]:
        return [sorted(table["utterance"].gather(fit.dev.tolist())) for fit in made(table, settings, seed)]

    table = iemocap()
    assert devs(table) == devs(table.sample(fraction=1, shuffle=True, seed=4))
    assert devs(table) != devs(table, seed=1)


def emobox_lists(folder: Path, table: pl.DataFrame, test_of: dict[str, str]) -> Path:
    """Write lists as EmoBox publishes them; `test_of` is the fold that tests an utterance."""
    for fold in sorted(set(test_of.values())):
        for part in ("train", "test"):
            lines = []
            for name in table["utterance"]:
                short = name.partition("/")[2]
                if (test_of[name] == fold) == (part == "test"):
                    wav = f"downloads/emodb/wav/{short}.wav"
                    row = {"key": f"emodb-{short}", "dataset": "emodb", "wav": wav, "emo": "x", "channel": 1}
                    lines.append(json.dumps(row))
            path = folder / f"fold_{fold}" / f"emodb_{part}_fold_{fold}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
    (folder / "emodb.jsonl").write_text("")
    (folder / "label_map.json").write_text("{}")
    return folder


@pytest.mark.parametrize("leaks", [True, False])
def test_emobox_lists_are_read_from_their_folder_and_a_leak_is_refused(tmp_path: Path, leaks: bool) -> None:
    table = iemocap().with_columns(
        corpus=pl.lit("emodb"), utterance=pl.col("utterance").str.replace("iemocap", "emodb")
    )
    by = [str(i % 5 + 1) for i in range(len(table))] if leaks else [s[-1] for s in table["session"]]
    lists = emobox_lists(tmp_path / "emodb", table, dict(zip(table["utterance"], by, strict=True)))
    asked = study(tmp_path, "emobox", more=f'[splits]\nfile = "{lists}"\n')
    fits = made(table, asked.splits)
    assert sorted(row for fit in fits for test in fit.tests for row in test.rows) == list(range(len(table)))
    assert all(len(fit.dev) == -(-len(np.concatenate([fit.train, fit.dev])) // 5) for fit in fits)
    found = audit(table, fits, target=KIND, domain="corpus", allow=asked.allow)
    if not leaks:
        refuse(found)
        return
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        refuse(found)
    refuse(audit(table, fits, target=KIND, domain="corpus", allow=("shared-speakers", "shared-sessions")))


def test_lists_without_dev_still_need_the_word_of_the_study(tmp_path: Path) -> None:
    table = iemocap()
    rows = [f"{u},{'test' if s.endswith('1') else 'train'}" for u, s in table.select("utterance", "session").rows()]
    (tmp_path / "lists.csv").write_text("utterance,part\n" + "\n".join(rows) + "\n")
    lists = {"scheme": "file", "file": tmp_path / "lists.csv"}
    with pytest.raises(InvalidInput, match="has no dev rows.*dev_unit"):
        made(table, SplitSettings.model_validate(lists))
    (fit,) = made(table, SplitSettings.model_validate({**lists, "dev_unit": "utterance"}))
    assert len(fit.dev) == 32
    dev_given = [row.replace("train", "dev") if "Ses02" in row else row for row in rows]
    (tmp_path / "lists.csv").write_text("utterance,part\n" + "\n".join(dev_given) + "\n")
    (fit,) = made(table, SplitSettings.model_validate({**lists, "dev_unit": "utterance"}))
    assert set(table["session"].gather(fit.dev.tolist())) == {"iemocap/Ses02"}
