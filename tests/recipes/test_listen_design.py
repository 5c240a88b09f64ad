"""`sibboleth listen design` and `simulate`: from a manifest to a folder that can be served, whole or not at all."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import predictions
from sibboleth import study as studies
from sibboleth.errors import InvalidInput
from sibboleth.experiment import final as finals
from sibboleth.experiment import listening, material
from sibboleth.experiment.final import Wanted
from sibboleth.listeners import test as tests
from sibboleth.listeners.store import Store
from sibboleth.recipes import check
from sibboleth.recipes.listen_design import Designed, design
from sibboleth.recipes.listen_simulate import simulate
from sibboleth.study import Study

LABELS = ("angry", "happy", "sad")
RATE = 16_000
CORPORA = '[[corpora]]\nname = "de"\nmanifest = "de.csv"\n[[corpora]]\nname = "pl"\nmanifest = "pl.csv"\n'
PARTS = '[[parts]]\nname = "emotion"\nlabels = ["angry", "happy", "sad"]\nby = ["language"]\ncount = 4\nrepeats = 2\n'
FILE = f'name = "small"\nforms = 3\n{{}}\n{CORPORA}{PARTS}{{}}'
STUDY = f'name = "s"\ndomain = "corpus"\n{CORPORA}[target]\nlabels = ["angry", "happy", "sad"]\n[splits]\nfolds = 3\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora of six speakers, two recordings of each label, and files that ask about them."""
    folder, random = tmp_path_factory.mktemp("listening"), np.random.default_rng(0)
    for language in ("de", "pl"):
        rows = []
        for speaker in range(6):
            for label in LABELS:
                for take in range(2):
                    name = f"{language}{speaker}{label}{take}"
                    soundfile.write(folder / f"{name}.wav", 0.05 * random.normal(size=RATE // 2), RATE)
                    rows.append((name, f"{name}.wav", f"s{speaker}", language, label, f"{speaker} {take}"))
        columns = ["utterance", "audio", "speaker", "language", "emotion", "text"]
        pl.DataFrame(rows, schema=columns, orient="row").write_csv(folder / f"{language}.csv")
    (folder / "listen.toml").write_text(FILE.format("", "[checks]\nheadphones = true\ncatch = 2\n"))
    (folder / "study.toml").write_text(STUDY)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shown(made: Designed) -> str:
    text = io.StringIO()
    Console(width=120, file=text).print(made)
    return text.getvalue()


def test_the_same_file_gives_the_same_test_to_the_byte(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = design(place / "listen.toml", output=tmp_path / "one")
    monkeypatch.chdir(place)
    design(Path("listen.toml"), output=tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    again = design(place / "listen.toml", output=tmp_path / "one")
    assert content(tmp_path / "one") == content(tmp_path / "two") and again.test == made.test
    assert tests.read(tmp_path / "one") == made.test and str(place) not in (tmp_path / "one" / "test.json").read_text()
    text = shown(made)
    assert "3 forms of about" in text and made.test.version in text and "emotion   de   angry   4       4" in text
    assert f"Now: sibboleth listen serve {tmp_path / 'one'}" in text


def test_another_test_is_not_overwritten_but_by_force_and_never_one_that_was_answered(
    place: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "test"
    design(place / "listen.toml", output=folder)
    before = content(folder)
    other = place / "other.toml"
    other.write_text(FILE.format("seed = 1", ""))
    with pytest.raises(InvalidInput, match=r"another test is there .*--force"):
        design(other, output=folder)
    assert content(folder) == before
    made = design(other, output=folder, force=True)
    assert len(list((folder / "audio").iterdir())) == 25, "24 items and the sound that sets the volume"
    assert tests.read(folder) == made.test
    store = Store(folder / "answers.sqlite", made.test.version)
    simulate(folder, listeners=1)
    again = design(place / "listen.toml", output=folder, force=True)
    assert any("simulated holds answers to the test that was here before" in note for note in again.notes)
    assert not any("before" in note for note in made.notes)
    assert tests.read(folder) == again.test and not (folder / "answers.sqlite").exists(), "nobody had begun"
    store.close()
    store = Store(folder / "answers.sqlite", again.test.version)
    with store.transaction():
        store.enrol({})
    store.close()
    for force in (False, True):
        with pytest.raises(InvalidInput, match="choose another --output"):
            design(other, output=folder, force=force)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InvalidInput, match="holds other files and no listening test"):
        design(other, output=tmp_path / "mine")


def test_a_killed_one_leaves_no_test_and_the_same_command_goes_on(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "test"
    slow = (
        "import time; from sibboleth.listeners import sound; from pathlib import Path; import sys\n"
        "real = sound.write\n"
        "def write(*given):\n    real(*given); time.sleep(0.1)\n"
        "sound.write = write\n"
        "from sibboleth.recipes.listen_design import design; design(Path(sys.argv[1]), output=Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, str(place / "listen.toml"), str(folder)], stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        until = time.monotonic() + 60
        while len(list(folder.glob("audio/*.wav"))) < 5 and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "test.json").exists() and len(list(folder.glob("audio/*.wav"))) >= 5
    design(place / "listen.toml", output=folder)
    design(place / "listen.toml", output=tmp_path / "undisturbed")
    assert content(folder) == content(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("more", "after", "told"),
    [
        ("", "[checks]\ncatches = 2\n", r"bad.toml:\d+: \[checks.catches\] unknown key"),
        ('language = "xx"', "", "language: .*xx is none of de, en"),
        ("", '[[parts]]\nname = "x"\ntarget = "dialects"\n', "no corpus has a column 'dialects' .*there are utterance"),
        ("", '[[parts]]\nname = "x"\nlabels = ["angry", "bored"]\n', "bored, which no corpus has"),
        ("per_listener = 7", "", "forms = 4 or more"),
        ("", '[[corpora]]\nname = "de"\nmanifest = "de.csv"\n', "corpora: name each differently"),
        ("", '[[parts]]\nname = "x"\nlabels = ["sad"]\nshown = { sat = "s" }\n', "sat is none of the labels .sad."),
    ],
)
def test_bad_input_says_what_and_where(place: Path, tmp_path: Path, more: str, after: str, told: str) -> None:
    (place / "bad.toml").write_text(FILE.format(more, after))
    with pytest.raises(InvalidInput, match=told):
        design(place / "bad.toml", output=tmp_path / "test")
    assert not (tmp_path / "test" / "test.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"answer": "sad"', '"answer": "angry"', "was changed after it was drawn .*draw it into a new folder"),
        ('"format": 1', '"format": 2', "has format 2, and this sibboleth reads 1"),
        ('"version"', '"edition"', "is no listening test"),
        ('"items"', "items", "cannot be read as a listening test"),
    ],
)
def test_a_test_that_was_changed_by_hand_is_not_taken(
    place: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    design(place / "listen.toml", output=tmp_path / "test")
    file = tmp_path / "test" / "test.json"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(InvalidInput, match=told):
        simulate(tmp_path / "test")
    assert not (tmp_path / "test" / "simulated").exists()


def test_words_of_ones_own_come_along(place: Path, tmp_path: Path) -> None:
    (place / "plain.toml").write_text('extends = "en"\n')
    file = place / "own-words.toml"
    file.write_text(FILE.format('language = "plain.toml"', ""))
    made = design(file, output=tmp_path / "test")
    shutil.move(tmp_path / "test", tmp_path / "elsewhere")
    assert made.test.settings.language == "plain.toml"
    assert tests.read(tmp_path / "elsewhere").settings.language == str(tmp_path / "elsewhere" / "plain.toml")
    assert (tmp_path / "elsewhere" / "plain.toml").read_text() == (place / "plain.toml").read_text()


def test_labels_are_read_as_studies_read_them(place: Path, tmp_path: Path) -> None:
    file = place / "mapped.toml"
    corpora = CORPORA.replace('"de.csv"\n', '"de.csv"\nlabels = { angry = "wut" }\nkeep = { speaker = ["s1", "s2"] }\n')
    file.write_text(f'name = "m"\nforms = 2\n{corpora}[[parts]]\nname = "e"\nby = ["language"]\ncount = 4\n')
    made = design(file, output=tmp_path / "test").test
    german = [item for item in made.items if item.values["language"] == "de"]
    assert {item.labels for item in german} == {("happy", "sad", "wut")} and len(german) == 12
    assert {item.speaker for item in german} == {"de/s1", "de/s2"}
    file.write_text(file.read_text().replace("angry =", "anger ="))
    with pytest.raises(InvalidInput, match="corpus 'de': labels names anger, which emotion never is"):
        design(file, output=tmp_path / "test")


def test_with_a_study_only_what_its_models_have_not_heard_is_drawn(place: Path, tmp_path: Path) -> None:
    lists = [
        (f"de/de{speaker}{label}{take}", "test" if speaker < 3 else "dev" if speaker == 3 else "train")
        for speaker in range(6)
        for label in LABELS
        for take in range(2)
    ]
    pl.DataFrame(lists, schema=["utterance", "part"], orient="row").write_csv(place / "lists.csv")
    german = STUDY.split("[[corpora]]")
    (place / "fixed.toml").write_text(
        german[0]
        + "[[corpora]]"
        + german[1]
        + '[target]\nlabels = ["angry", "happy", "sad"]\n[splits]\nscheme = "file"\nfile = "lists.csv"\n'
        + 'listening = "not-yet-drawn"\n'
    )
    file = place / "unheard.toml"
    file.write_text(FILE.format('study = "fixed.toml"', ""))
    made = design(file, output=tmp_path / "test")
    speakers = {item.speaker for item in made.test.items if item.values.get("language") == "de"}
    assert speakers == {"de/s0", "de/s1", "de/s2"}
    assert any(note.startswith("12 of 24 items are nothing that the study tests (pl/") for note in made.notes)
    file.write_text(FILE.format('study = "fixed.toml"', "").replace("count = 4", "count = 7"))
    with pytest.raises(InvalidInput, match=r"\[splits\] listening") as refused:
        design(file, output=tmp_path / "more")
    assert "de angry: has 6; 6 more are what a model of the study has learnt from" in str(refused.value)


def test_what_listeners_judge_trains_no_model_of_a_study_that_names_the_test(place: Path, tmp_path: Path) -> None:
    made = design(place / "listen.toml", output=tmp_path / "test").test
    judged = {item.utterance for item in made.items if item.role == "item"}
    file = place / "judged.toml"
    copy = '[[corpora]]\nname = "again"\nmanifest = "de.csv"\nlanguage = "de"\n'
    model = '[[encoders]]\nname = "logmel"\n[[methods]]\nname = "head"\n[target]'
    file.write_text(STUDY.replace("[target]", copy + model) + f'listening = "{tmp_path / "test"}"\n')
    stuff = material.gather(studies.read(file))
    rows = listening.judged(stuff)
    named = set(stuff.table["utterance"].gather(rows))
    german = {name.replace("de/", "again/", 1) for name in judged if name.startswith("de/")}
    assert named == judged | german, "the same recordings under another corpus's name, too"
    fits = check.fits(stuff)
    assert all(not np.isin(rows, np.concatenate(fit.heard)).any() for fit in fits)
    tested = np.concatenate([test.rows for fit in fits for test in fit.tests])
    assert np.isin(rows, tested).all() and all(len(fit.train) and len(fit.dev) for fit in fits)
    _, (stage,) = finals.narrowed(stuff, Wanted(stuff.study.encoders[0], stuff.study.methods[0], "de", None))
    german_rows = stuff.table.filter(corpus="de")["utterance"]
    final = set(german_rows.gather(np.concatenate([stage.train, stage.dev])))
    assert len(final) == 36 - 12 and not final & judged, "of the final model neither"
    without = check.fits(material.gather(_plain(stuff.study)))
    assert any(np.isin(rows, np.concatenate(fit.heard)).any() for fit in without)


def _plain(study: Study) -> Study:
    return study.model_copy(update={"splits": study.splits.model_copy(update={"listening": None})})


def test_too_many_items_to_train_without_are_refused(place: Path, tmp_path: Path) -> None:
    every = place / "every.toml"
    every.write_text(FILE.format("", "").replace("count = 4", "count = 12"))
    design(every, output=tmp_path / "test")
    file = place / "nothing-left.toml"
    file.write_text(STUDY + f'listening = "{tmp_path / "test"}"\n')
    with pytest.raises(InvalidInput, match="splits.listening: without what listeners judge, too little is left"):
        check.check(file)
    lacking = STUDY.replace(CORPORA, CORPORA.replace('"de"', '"xx"').replace('"pl"', '"yy"')).replace(
        "folds = 3", "folds = 2"
    )
    soundless = tests.read(tmp_path / "test")
    nameless = [item.model_copy(update={"digest": ""}) for item in soundless.items]
    soundless = soundless.model_copy(update={"items": tuple(nameless)})
    tests.write(tmp_path / "test", soundless.model_copy(update={"version": tests.version(soundless)}))
    file.write_text(lacking + f'listening = "{tmp_path / "test"}"\n')
    with pytest.raises(InvalidInput, match=r"none of the \d+ items of .* is an utterance of the study"):
        check.check(file)
    file.write_text(STUDY + 'listening = "nowhere"\n')
    with pytest.raises(InvalidInput, match="nowhere: no test.json there"):
        check.check(file)


def test_simulated_listeners_answer_everything_and_are_never_shown_as_people(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "test"
    made = design(place / "listen.toml", output=folder).test
    simulate(folder, listeners=40, seed=1)
    told = predictions.read(folder / "simulated" / "predictions.csv")
    assert set(told["source"]) == {"simulated"} and all(
        name.startswith("simulated-") for name in told["rater"].unique()
    )
    assert len(told) == 40 * 26 and set(told["trial"]) == {0, 1}
    assert set(told["utterance"]) == {item.utterance for item in made.items if item.role == "item"}
    people = pl.read_csv(folder / "simulated" / "listeners.csv")
    assert set(people["status"]) == {"finished"} and set(people["form"]) == {0, 1, 2}
    assert 0 < people["catch_failed"].sum() < 15 and set(people["first_language"]) == {"de", "pl"}
    answers = pl.read_csv(folder / "simulated" / "answers.csv").filter(pl.col("role") == "item")
    joined = answers.join(people.select("rater", "first_language"), on="rater")
    own = pl.col("utterance").str.starts_with(pl.col("first_language"))
    native, foreign = joined.filter(own)["right"].mean(), joined.filter(~own)["right"].mean()
    assert native - foreign > 0.05  # type: ignore[operator]
    hard = joined.group_by("utterance").agg(pl.col("right").mean())["right"]
    assert hard.std() > 0.1, "items differ"  # type: ignore[operator]
    simulate(folder, listeners=4, seed=1, output=tmp_path / "fewer")
    fewer = predictions.read(tmp_path / "fewer" / "predictions.csv")
    assert fewer.equals(told.filter(pl.col("rater").is_in(fewer["rater"].unique().implode())))
    with pytest.raises(InvalidInput, match="listeners"):
        simulate(folder, listeners=0)


def test_simulated_listeners_mark_stretches_and_write_what_they_hear(place: Path, tmp_path: Path) -> None:
    file = place / "kinds.toml"
    where = '[[parts]]\nname = "where"\nkind = "segments"\nlabels = ["angry", "happy", "sad"]\ncount = 2\n'
    words = '[[parts]]\nname = "words"\nkind = "text"\ntarget = "text"\ncount = 5\nconfidence = { points = 7 }\n'
    file.write_text(f'name = "kinds"\nforms = 2\n{CORPORA}{where}{words}')
    design(file, output=tmp_path / "test")
    simulate(tmp_path / "test", listeners=6)
    told = predictions.read(tmp_path / "test" / "simulated" / "predictions.csv")
    marked = told.filter(target="emotion")
    assert len(marked) == 36 and (marked["start"] < marked["end"]).all() and marked["end"].max() <= 0.5  # type: ignore[operator]
    assert len(told.filter(target="text")) == 30 and len(told.filter(target="text.confidence")) == 30


def test_simulated_listeners_mark_the_segments_that_the_manifest_has(place: Path, tmp_path: Path) -> None:
    parts = [{"start": 0.05, "end": 0.2, "label": "happy"}, {"start": 0.2, "end": 0.45, "label": "neutral"}]
    table = pl.read_csv(place / "de.csv").with_columns(segments=pl.lit(json.dumps(parts)))
    table.write_csv(place / "timed.csv")
    corpus = '[[corpora]]\nname = "de"\nmanifest = "timed.csv"\n'
    where = '[[parts]]\nname = "where"\nkind = "segments"\nlabels = ["angry", "happy", "sad"]\ncount = 4\n'
    (place / "timed.toml").write_text(f'name = "timed"\nforms = 1\n{corpus}{where}')
    made = design(place / "timed.toml", output=tmp_path / "test")
    assert {item.segments for item in made.test.items} == {((0.05, 0.2, "happy"), (0.2, 0.45, "neutral"))}
    simulate(tmp_path / "test", listeners=6)
    marked = predictions.read(tmp_path / "test" / "simulated" / "predictions.csv").filter(pl.col("label") != "none")
    assert marked["start"].median() == pytest.approx(0.05, abs=0.05)
    assert marked["end"].median() == pytest.approx(0.2, abs=0.08)
    assert (marked["label"] == "happy").mean() > 0.6 and "neutral" not in marked["label"]  # type: ignore[operator]
