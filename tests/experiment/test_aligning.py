"""Alignments of cells on made features: known shifts are undone, confounds vanish, labels of the target never count."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sibboleth import alignment as alignments
from sibboleth import splits
from sibboleth.errors import InvalidInput
from sibboleth.experiment import aligning, cells
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.material import Material
from sibboleth.models.probes import Probing
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit
from sibboleth.study import CorpusSettings, Study, TargetSettings
from sibboleth.targets import Target

LABELS = ("calm", "tense")
SPEAKERS, EACH, DIM = 12, 60, 60
ROWS = 2 * SPEAKERS * EACH


class Given:
    """Features of one layer."""

    layers = 1
    missing: tuple[int, ...] = ()

    def __init__(self, x: np.ndarray) -> None:
        self.x = x.astype(np.float32)

    def matrix(self, layer: int, pooling: str) -> np.ndarray:
        return self.x


def material(labels: np.ndarray, **study: object) -> Material:
    """Two languages, a and b, of `SPEAKERS` speakers each, who say `EACH` utterances each."""
    speakers = np.arange(ROWS) // EACH
    table = pl.DataFrame(
        {
            "utterance": [f"u{row:04d}" for row in range(ROWS)],
            "mood": [LABELS[label] for label in labels],
            "speaker": [f"s{speaker:02d}" for speaker in speakers],
            "language": ["a" if speaker < SPEAKERS else "b" for speaker in speakers],
            "session": [None] * ROWS,
        }
    )
    made = Study(
        name="s",
        domain="language",
        target=TargetSettings(column="mood"),
        corpora=(CorpusSettings(name="c", manifest=Path("c.csv")),),
        **study,  # type: ignore[arg-type]
    )
    scan = table.select("utterance", digest="utterance")
    return Material(made, (), table, scan, Target(name="mood", kind="classification", labels=LABELS), pl.DataFrame())


def fits() -> tuple[Fit, ...]:
    """Three folds of a: each tests a third of a's speakers within, and of b's zero-shot."""
    speaker = np.arange(ROWS) // EACH
    made = []
    for fold in range(3):
        at = np.flatnonzero
        test = at((speaker < SPEAKERS) & (speaker % 3 == fold))
        dev = at((speaker < SPEAKERS) & (speaker % 3 == (fold + 1) % 3))
        train = at((speaker < SPEAKERS) & (speaker % 3 == (fold + 2) % 3))
        away = at((speaker >= SPEAKERS) & (speaker % 3 == fold))
        made.append(
            Fit("a", str(fold), train, dev, (splits.Test("within", "a", test), splits.Test("zero-shot", "b", away)))
        )
    return tuple(made)


def accuracies(x: np.ndarray, stuff: Material, name: str | None, folder: Path) -> dict[str, float]:
    """Run the cells of one alignment (None: the plain one) and return the accuracy under each regime."""
    probing = Probing(
        kind="classification", probe=LinearProbe(), pooling="mean", trials=1, seed=0, layer_mix=name is None
    )
    every = [fits()] if name is None else list(aligning.tried(name, fits()))
    found: dict[str, float] = {}
    for some in every:
        cell = Cell("made", "identity", "a", some, probing, alignment=name)
        for _ in cells.solve(cell, Given(x), stuff, RunDirectory(folder)):  # type: ignore[arg-type]
            pass
        table = pl.read_parquet(folder / cell.file(stuff)).filter(pl.col("rater") == "selected")
        best = table.sort("value", descending=True).unique(["run", "utterance"], keep="first")
        told = best.join(stuff.table.select("utterance", "mood"), on="utterance")
        for (run,), rows in told.group_by("run"):
            assert str(run).split("/")[1] == ("linear" if name is None else f"linear+{name}")
            found[str(run).split("/")[2]] = float((rows["label"] == rows["mood"]).mean())
    return found


def coded(seed: int = 0, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features that code the label alike in both languages, and the labels; `share` of b is tense."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([rng.random(ROWS // 2) < 0.5, rng.random(ROWS // 2) < share]).astype(int)
    x = rng.normal(size=(ROWS, DIM))
    x[:, 0] += 3 * labels
    return x, labels


@pytest.mark.parametrize("name", ["z-norm", "z-norm:speaker", "coral", "erase:language"])
def test_a_shift_of_the_target_is_undone(name: str, tmp_path: Path) -> None:
    x, labels = coded()
    x[ROWS // 2 :, :2] += 5, 9  # the whole second language lies on the far side of the first one's border
    stuff = material(labels)
    plain, aligned = (accuracies(x, stuff, one, tmp_path) for one in (None, name))
    assert plain["within"] > 0.85
    assert plain["zero-shot"] < 0.65
    assert aligned["zero-shot"] > 0.8
    assert ("within" in aligned) == alignments.changes_home(name)
    assert aligned.get("within", 1.0) > 0.8


@pytest.mark.parametrize("name", ["z-norm", "coral"])
def test_other_units_of_the_target_are_undone(name: str, tmp_path: Path) -> None:
    x, labels = coded(1)
    x[ROWS // 2 :] = x[ROWS // 2 :] * np.tile([0.1, 8, 1, 1, 3, 1], DIM // 6) - 5
    stuff = material(labels)
    assert accuracies(x, stuff, None, tmp_path)["zero-shot"] < 0.65
    assert accuracies(x, stuff, name, tmp_path)["zero-shot"] > 0.85


def test_other_shares_of_labels_are_found_and_used(tmp_path: Path) -> None:
    x, labels = coded(2, share=0.95)
    x[:, 0] -= 1.8 * labels  # hard to hear, so that the shares matter
    stuff = material(labels)
    plain, adjusted = (accuracies(x, stuff, one, tmp_path) for one in (None, "logit-adjustment"))
    assert adjusted["zero-shot"] > plain["zero-shot"] + 0.05


def test_a_gap_that_voices_make_vanishes_when_the_speaker_is_erased(tmp_path: Path) -> None:
    """The label is heard in two ways; voices of the target drown the better one, which those of the source leave."""
    rng = np.random.default_rng(3)
    x, labels = coded(3)
    x[:, 2] += 3 * labels
    x[:, 0] += labels + np.where(np.arange(ROWS) < ROWS // 2, 0, rng.normal(0, 9, ROWS // EACH).repeat(EACH))
    stuff = material(labels)
    plain, erased = (accuracies(x, stuff, one, tmp_path) for one in (None, "erase:speaker"))
    assert plain["within"] - plain["zero-shot"] > 0.2
    assert abs(erased["within"] - erased["zero-shot"]) < 0.05
    assert erased["zero-shot"] > plain["zero-shot"] + 0.1


@pytest.mark.parametrize("name", [*alignments.NAMES, "erase:speaker", "erase:language"])
def test_labels_of_the_target_change_no_answer(name: str, tmp_path: Path) -> None:
    x, labels = coded(4)
    x[ROWS // 2 :] += 1
    other = labels.copy()
    other[ROWS // 2 :] = np.random.default_rng(5).permutation(1 - other[ROWS // 2 :])
    probing = Probing(kind="classification", probe=LinearProbe(), pooling="mean", trials=1, seed=0, layer_mix=False)
    answers = []
    for number, some in enumerate((labels, other)):
        stuff = material(some)
        (mine,) = aligning.tried(name, fits())
        cell = Cell("made", "identity", "a", mine, probing, alignment=name)
        for _ in cells.solve(cell, Given(x), stuff, RunDirectory(tmp_path / str(number))):  # type: ignore[arg-type]
            pass
        table = pl.read_parquet(tmp_path / str(number) / cell.file(stuff))
        answers.append(table.filter(pl.col("run").str.contains("zero-shot")))
    assert answers[0].equals(answers[1])


def test_rows_that_could_not_be_encoded_change_nothing(tmp_path: Path) -> None:
    x, labels = coded(6)
    stuff = material(labels)
    lost = (3, ROWS - 2)
    spoilt = x.copy()
    spoilt[list(lost)] = 1e6
    probing = Probing(kind="classification", probe=LinearProbe(), pooling="mean", trials=1, seed=0, layer_mix=False)
    for name in (*alignments.NAMES, "erase:speaker"):
        (mine,) = aligning.tried(name, fits())
        tables = []
        for number, some in enumerate((x, spoilt)):
            cell = Cell("made", "identity", "a", mine, probing, lost, alignment=name)
            run = RunDirectory(tmp_path / f"{name}-{number}")
            for _ in cells.solve(cell, Given(some), stuff, run):  # type: ignore[arg-type]
                pass
            tables.append(pl.read_parquet(run / cell.file(stuff)))
        assert tables[0].equals(tables[1])


def test_coral_has_a_cell_for_each_target_and_the_file_of_every_alignment_is_its_own() -> None:
    rows = np.arange(ROWS)
    tests = (
        splits.Test("zero-shot", "b", rows[:9]),
        splits.Test("zero-shot", "c", rows[9:20]),
        splits.Test("target-selected", "c", rows[:3]),
    )
    some = (Fit("a", "0", rows[100:200], rows[200:220], tests),)
    assert [[t.domain for t in one[0].tests] for one in aligning.tried("coral", some)] == [["b"], ["c"]]
    assert [[t.domain for t in one[0].tests] for one in aligning.tried("z-norm", some)] == [["b", "c"]]
    stuff = material(coded()[1])
    probing = Probing(kind="classification", probe=MlpProbe(), pooling="mean", trials=1, seed=0, layer_mix=False)
    names = [None, *alignments.NAMES, "erase:speaker", "erase:language"]
    files = {Cell("made", "identity", "a", fits(), probing, alignment=name).file(stuff) for name in names}
    assert len(files) == len(names)
    moved = stuff.table.with_columns(pl.lit("s00").alias("speaker"))
    other = Material(stuff.study, (), moved, stuff.scan, stuff.target, stuff.excluded)
    cell = Cell("made", "identity", "a", fits(), probing, alignment="erase:speaker")
    assert cell.file(stuff) != cell.file(other)


@pytest.mark.parametrize(
    ("column", "said"),
    [("weather", "no column 'weather'"), ("constant", "the same in all"), ("utterance", "goes with one mood")],
)
def test_a_column_that_cannot_be_erased_is_told(column: str, said: str) -> None:
    stuff = material(coded()[1], alignment=(f"erase:{column}",))
    table = stuff.table.with_columns(constant=pl.lit("x"))
    with pytest.raises(InvalidInput, match=said):
        aligning.require(Material(stuff.study, (), table, stuff.scan, stuff.target, stuff.excluded))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alignment": ("z-score",)}, "there are z-norm"),
        ({"alignment": ("erase:",)}, "no such alignment"),
        ({"alignment": ("coral", "coral")}, "each once"),
        ({"alignment": ("coral",), "regimes": ("within",)}, 'add "zero-shot"'),
        ({"alignment": ("erase:mood",)}, "mood is the target"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        material(coded()[1], **settings)
