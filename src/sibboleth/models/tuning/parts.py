"""What a cell has come to so far: answers, logs and weights of finished trainings, kept so that a kill loses one."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sibboleth.models.probes import Answer
from sibboleth.storage import atomic


@dataclass(frozen=True)
class Part:
    """What one training answered, and its log."""

    answers: list[Answer]
    log: list[dict[str, Any]]
    keys: list[tuple[float, float]] = field(default_factory=list)
    """What each watch of a first training chose by; higher is better."""
    watches: list[int] = field(default_factory=list)
    """Which watch chose the weights of each answer of a first training."""


def write(path: Path, part: Part) -> None:
    """Keep a training's answers to the bit."""
    arrays = {}
    facts = []
    for number, one in enumerate(part.answers):
        facts.append(
            [
                one.fit,
                one.layer,
                one.trial,
                one.choice,
                one.learning_rate,
                one.weight_decay,
                one.decoder,
                len(one.tests),
            ]
        )
        arrays[f"dev-{number}"] = one.dev
        arrays |= {f"test-{number}-{index}": test for index, test in enumerate(one.tests)}
    told = np.frombuffer(
        json.dumps({"facts": facts, "log": part.log, "keys": part.keys, "watches": part.watches}).encode(), np.uint8
    )
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, told=told, **arrays)


def read(path: Path) -> Part | None:
    """Return what was kept; None where there is nothing that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            answers = []
            for number, (fit, layer, trial, choice, rate, decay, decoder, count) in enumerate(told["facts"]):
                tests = tuple(arrays[f"test-{number}-{index}"] for index in range(count))
                chosen = fit, layer, trial, choice, rate, decay
                answers.append(Answer(*chosen, arrays[f"dev-{number}"], tests, decoder))
        keys = [(first, second) for first, second in told["keys"]]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return Part(answers, told["log"], keys, told["watches"])


def best(tried: Sequence[Part], watch: int) -> int:
    """Return which of several trainings, of one learning rate each, a watch likes best; the first of equals."""
    return max(range(len(tried)), key=lambda index: tried[index].keys[watch])


def answers(tried: Sequence[Part]) -> list[Answer]:
    """Return the answers of the trainings that their watches like best, in the order of each training's."""
    return [tried[best(tried, watch)].answers[place] for place, watch in enumerate(tried[0].watches)]


def logs(tried: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the logs of several trainings; only epochs of the best ones stay selected."""
    found = []
    for number, part in enumerate(tried):
        for row in part.log:
            mine = row["selected"] and best(tried, row["watch"]) == number
            found.append(row | {"selected": mine})
    return found


def write_weights(path: Path, several: Sequence[dict[str, Tensor]]) -> None:
    """Keep the weights that each dev set chose."""
    with atomic(path) as temporary:
        torch.save(list(several), temporary)


def read_weights(path: Path) -> list[dict[str, Tensor]]:
    """Read them."""
    found: list[dict[str, Tensor]] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def weights_are_there(path: Path) -> bool:
    """Say whether they can be read."""
    try:
        read_weights(path)
    except Exception:  # torch raises whatever its parser raises
        return False
    return True
