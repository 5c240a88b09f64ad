"""Parts of a cell that is not finished: the answers of its layers, kept so that a kill loses one unit at most."""

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sibboleth.runs import atomic

if TYPE_CHECKING:
    from sibboleth.models.probes import Answer, Unit

FACTS = ("fit", "layer", "trial", "choice", "learning_rate", "weight_decay")


def place(cell: Path, unit: "Unit") -> Path:
    """Return where the answers of a unit are kept until the cell's own file `cell` is written."""
    name = "mix" if unit[0] is None else f"{unit[0]:02d}"
    return cell.with_suffix(f".layer-{name}.part.npz")


def write(path: Path, answers: Sequence["Answer"]) -> None:
    """Keep answers, to the bit; what is none is kept as NaN."""
    arrays = {name: np.array([getattr(one, name) for one in answers], dtype=np.float64) for name in FACTS}
    for number, one in enumerate(answers):
        arrays[f"dev-{number}"] = one.dev
        arrays |= {f"test-{number}-{index}": test for index, test in enumerate(one.tests)}
    with atomic(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def read(path: Path) -> list["Answer"] | None:
    """Return the answers that were kept, none where there are none that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return list(_answers(arrays))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def remove(cell: Path) -> None:
    """Remove the parts of a cell, whose own file stands for them now."""
    stem = cell.with_suffix("").name
    for part in cell.parent.glob("*.part.npz"):
        if part.name.startswith(f"{stem}.layer-"):
            with contextlib.suppress(OSError):
                part.unlink()


def _answers(arrays: "np.lib.npyio.NpzFile") -> Iterator["Answer"]:
    from sibboleth.models.probes import Answer

    facts = np.stack([arrays[name] for name in FACTS], axis=1).tolist()
    for number, (fit, layer, trial, choice, learning_rate, weight_decay) in enumerate(facts):
        tests: list[npt.NDArray[np.float64]] = []
        while (name := f"test-{number}-{len(tests)}") in arrays:
            tests.append(arrays[name])
        yield Answer(
            fit=int(fit),
            layer=None if np.isnan(layer) else int(layer),
            trial=int(trial),
            choice=choice,
            learning_rate=None if np.isnan(learning_rate) else learning_rate,
            weight_decay=None if np.isnan(weight_decay) else weight_decay,
            dev=arrays[f"dev-{number}"],
            tests=tuple(tests),
        )
