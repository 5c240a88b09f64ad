"""The controlled corpus: balanced, bit-identical, resumable, and what is planted in it is there."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import soundfile
from pydantic import ValidationError

from sibboleth import corpora, corpus
from sibboleth.corpora.synthetic import corpus as synthetic
from sibboleth.corpora.synthetic import plan
from sibboleth.corpora.synthetic.accents import DESIGN
from sibboleth.corpora.synthetic.design import Design, best_possible_score
from sibboleth.corpus import Corpus
from sibboleth.errors import SibbolethError

TINY = Design(languages=("en", "zh"), speakers=4, utterances=1, sentences=4, accented=1, accents={"en": "de"})


def fingerprints(root: Path) -> dict[str, str]:
    files = (file for file in root.rglob("*") if file.is_file())
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader")
    return tmp_path_factory.mktemp("controlled")


@pytest.fixture(scope="module")
def tiny(root: Path) -> Corpus:
    return synthetic.prepare(root, TINY)


def planned(design: Design) -> pl.DataFrame:
    rows = [
        {"speaker": person.name, "language": person.language, "emotion": line.emotion, "text": line.text}
        for person in plan.speakers(design)
        for line in plan.lines(design, person)
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    "design",
    [Design(), TINY, Design(utterances=12, sentences=24), Design(emotions=("angry", "sad"), sentences=6, speakers=6)],
)
def test_neither_speaker_nor_text_tells_the_emotion(design: Design) -> None:
    table = planned(design)
    for column in (["speaker"], ["language", "text"]):
        counts = table.group_by(*column, "emotion").len().group_by(*column).agg(pl.col("len"))
        for row in counts["len"].to_list():
            assert len(row) == len(design.emotions)
            assert len(set(row)) == 1


def test_voices_do_not_recur_within_a_language_and_both_sexes_speak_with_and_without_accent() -> None:
    people = plan.speakers(Design())
    assert len({person.name for person in people}) == len(people) == 48
    for language in Design().languages:
        own = [person for person in people if person.language == language]
        assert len({person.variant for person in own}) == len(own)
        kinds = Counter((person.sex, person.accent is not None) for person in own)
        assert kinds == {("female", False): 4, ("male", False): 4, ("female", True): 2, ("male", True): 2}


def test_several_accents_go_round_over_women_and_men_and_leave_the_native_as_they_are() -> None:
    people = plan.speakers(DESIGN)
    kinds = Counter((person.accent, person.sex) for person in people)
    assert kinds == {(None, "female"): 10, (None, "male"): 10} | {
        (first, sex): 3 for first in ("de", "en", "fr") for sex in ("female", "male")
    }
    alone = plan.speakers(DESIGN.model_copy(update={"accents": {}}))
    assert [person for person in people if person.accent is None] == alone[:20]
    assert all(person.voice.startswith("roa/fr+") for person in people if person.accent == "fr")


def test_the_table_says_what_was_spoken(tiny: Corpus, root: Path) -> None:
    table = tiny.table
    assert table.height == 2 * 4 * 4
    assert list(corpus.COLUMNS) == table.columns[: len(corpus.COLUMNS)]
    assert table["utterance"].is_unique().all()
    assert table["synthetic"].str.contains(r"^espeak-ng \d").all()
    assert Counter(table["accent"]) == {"native": 28, "de": 4}
    assert {"emotion", "sex", "best_answer", "cue_pitch", "cue_slope"} <= set(table.columns)
    assert "cue_colour_sine" not in table.columns
    for file in table["audio"]:
        info = soundfile.info(file)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 0.8 < info.duration < 6
    assert {Path(file).parent for file in table["audio"]} == {root / "audio"}


def test_the_segments_cover_every_utterance_in_order(tiny: Corpus, root: Path) -> None:
    segments = synthetic.segments(root)
    assert set(segments["utterance"]) == set(tiny.table["utterance"])
    for row in tiny.table.iter_rows(named=True):
        for tier in ("phone", "word"):
            own = segments.filter(pl.col("utterance") == row["utterance"], pl.col("tier") == tier)
            assert (own["end"] > own["start"]).all()
            assert (own["start"][1:] >= own["end"][:-1] - 1e-9).all()
            assert own["start"][0] >= 0
            assert own["end"][-1] <= soundfile.info(row["audio"]).duration
        words = "".join(own["label"]).replace(" ", "")
        assert words == row["text"].rstrip(".。").replace(" ", "")


def test_an_accented_speaker_says_only_phones_of_the_first_language(tiny: Corpus, root: Path) -> None:
    accents = tiny.table.select("utterance", "accent", "language")
    phones = synthetic.segments(root).filter(pl.col("tier") == "phone").join(accents, on="utterance")
    accented = set(phones.filter(pl.col("accent") == "de")["label"])
    native = set(phones.filter(pl.col("accent") == "native", pl.col("language") == "en")["label"])
    assert native & {"ð", "ɹ", "w"}
    assert not accented & {"ð", "θ", "ɹ", "w", "ɒ", "əʊ"}
    assert len(accented) > 15


def test_dutch_with_french_phones_is_spoken_by_a_french_voice(root: Path, tmp_path: Path) -> None:
    made = synthetic.prepare(
        tmp_path, Design(languages=("nl",), speakers=2, accented=1, utterances=1, sentences=4, accents={"nl": ("fr",)})
    )
    phones = (
        synthetic.segments(tmp_path).filter(tier="phone").join(made.table.select("utterance", "accent"), on="utterance")
    )
    said = {accent: set(own["label"]) for (accent,), own in phones.partition_by("accent", as_dict=True).items()}
    assert {"r", "aː", "ɪ"} <= said["native"]
    assert "ʁ" in said["fr"] and not said["fr"] & {"r", "ɾ", "x", "h", "ɪ", "ɑ", "aː", "ʋ"}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_design_is_the_same_to_the_bit(tiny: Corpus, root: Path, tmp_path: Path, workers: int) -> None:
    again = synthetic.prepare(tmp_path, TINY, workers=workers)
    assert fingerprints(tmp_path) == fingerprints(root)
    assert again.table.drop("audio").equals(tiny.table.drop("audio"))


def test_a_killed_preparation_goes_on_and_nothing_is_done_twice(tiny: Corpus, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    before = fingerprints(tmp_path)
    # As a kill between two utterances of a speaker leaves it.
    (tmp_path / "segments" / "zh-f2.parquet").unlink()
    (tmp_path / "audio" / "zh-f2-004.flac").unlink()
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "audio").iterdir()}
    made = synthetic.prepare(tmp_path, TINY)
    assert made.table.drop("audio").equals(tiny.table.drop("audio"))
    assert fingerprints(tmp_path) == before
    again = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "audio").iterdir()}
    assert {name for name in again if again[name] != times.get(name)} == {f"zh-f2-00{n}.flac" for n in (1, 2, 3, 4)}


def test_another_design_in_the_same_folder_is_refused(tiny: Corpus, root: Path, tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match="another design; choose an empty folder"):
        synthetic.prepare(root, TINY.model_copy(update={"seed": 1}))
    (tmp_path / "audio").mkdir()
    with pytest.raises(SibbolethError, match=r"no truth\.json"):
        synthetic.prepare(tmp_path, TINY)


def test_another_seed_draws_other_cues_and_a_further_language_changes_none() -> None:
    def cues(design: Design) -> list[dict[str, float]]:
        english = [person for person in plan.speakers(design) if person.language == "en"]
        return [line.cues for person in english for line in plan.lines(design, person)]

    assert cues(TINY) != cues(TINY.model_copy(update={"seed": 1}))
    assert cues(TINY) == cues(TINY.model_copy(update={"languages": ("en", "zh", "nl")}))


def test_the_truth_lies_beside_the_manifest(tiny: Corpus, root: Path) -> None:
    truth = json.loads((root / "truth.json").read_text(encoding="utf-8"))
    assert Design.model_validate(truth["design"]) == TINY
    best = best_possible_score(TINY)
    for language in TINY.languages:
        assert truth["best_possible_score"]["languages"][language]["uar"] == best[language].uar
        assert set(truth["class_means"][language]) == set(TINY.emotions)
    assert set(truth["speakers"]) == set(tiny.table["speaker"])
    assert "never a result about people" in truth["note"]


def test_cues_that_mean_nothing_are_the_same_in_every_emotion() -> None:
    design = Design(languages=("de", "en"), coding={"en": "unrelated"})
    idle = {"de": ("colour_cosine", "colour_sine"), "en": ("pitch", "range", "rate", "loudness", "slope")}
    for person in plan.speakers(design):
        seen: dict[str, set[tuple[float, ...]]] = {}
        for line in plan.lines(design, person):
            seen.setdefault(line.emotion, set()).add(tuple(line.cues[cue] for cue in idle[person.language]))
        assert len(set(map(frozenset, seen.values()))) == 1
        assert {len(values) for values in seen.values()} == {design.utterances}


def test_the_best_observer_meets_its_score_on_what_was_drawn() -> None:
    design = Design(speakers=48, utterances=8)
    right = [line.emotion == line.bayes for person in plan.speakers(design) for line in plan.lines(design, person)]
    best = best_possible_score(design)["de"].uar
    assert abs(sum(right) / len(right) - best) < 3 * (best * (1 - best) / len(right)) ** 0.5


def test_a_planted_duplicate_is_one_recording_under_two_speakers(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    table = synthetic.prepare(tmp_path, TINY.model_copy(update={"leak": "duplicate", "languages": ("en",)})).table
    table = table.with_columns(
        pl.col("audio").map_elements(lambda f: hashlib.sha256(Path(f).read_bytes()).hexdigest(), pl.String).alias("sha")
    )
    twice = table.filter(pl.col("sha").is_duplicated())
    assert Counter(twice["speaker"]) == {"en-f1": 4, "en-m1": 4}
    pairs = twice.group_by("sha").agg(pl.col("speaker").n_unique(), pl.col("emotion").n_unique())
    assert pairs["speaker"].to_list() == [2] * 4
    assert pairs["emotion"].to_list() == [1] * 4
    assert set(synthetic.segments(tmp_path)["utterance"]) == set(table["utterance"])


def test_a_planted_alias_is_one_session_under_two_speakers() -> None:
    pytest.importorskip("espeakng_loader")
    design = TINY.model_copy(update={"leak": "alias"})
    names = {(line.known_as, person.name) for person in plan.speakers(design) for line in plan.lines(design, person)}
    shared = Counter(session for _, session in names)
    assert {session for session, count in shared.items() if count > 1} == {"en-f1", "zh-f1"}
    assert len({name for name, _ in names}) == len(names) == 10


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("multiple of the number of emotions", {"sentences": 5}),
        ("at most the number of speakers", {"accented": 13}),
        ("cannot be de", {"accents": {"de": "de"}}),
        ("each once", {"accents": {"de": ("fr", "fr")}}),
        ("each once", {"accents": {"de": ()}}),
        ("not in the design: nl", {"languages": ("de", "en"), "coding": {"nl": "permuted"}}),
        ("emotions must differ", {"emotions": ("sad", "sad")}),
        ("Input should be", {"languages": ("xx",)}),
    ],
)
def test_a_design_that_cannot_be_is_refused(field: str, change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=field):
        Design.model_validate(change)


def test_it_is_prepared_by_name_and_its_manifest_reads_back(
    tiny: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default: Callable[[], Design] = lambda: TINY  # noqa: E731
    monkeypatch.setattr(synthetic, "Design", default)
    made = corpora.prepare("synthetic", tmp_path)
    read = corpus.read(corpus.write(made, tmp_path / "manifest.csv"))
    assert read.table["audio"].to_list() == made.table["audio"].to_list()
    assert read.table["emotion"].to_list() == tiny.table["emotion"].to_list()
