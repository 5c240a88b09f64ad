"""What a cell has come to so far: answers, logs and weights of finished trainings, kept so that a kill loses one."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
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


def write(path: Path, part: Part) -> None:
    """Keep a training's answers to the bit."""
    arrays = {}
    facts = []
    for number, one in enumerate(part.answers):
        facts.append([one.fit, one.layer, one.trial, one.choice, one.learning_rate, one.weight_decay, len(one.tests)])
        arrays[f"dev-{number}"] = one.dev
        arrays |= {f"test-{number}-{index}": test for index, test in enumerate(one.tests)}
    told = np.frombuffer(json.dumps({"facts": facts, "log": part.log}).encode(), np.uint8)
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, told=told, **arrays)


def read(path: Path) -> Part | None:
    """Return what was kept; None where there is nothing that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            answers = []
            for number, (fit, layer, trial, choice, rate, decay, count) in enumerate(told["facts"]):
                tests = tuple(arrays[f"test-{number}-{index}"] for index in range(count))
                answers.append(Answer(fit, layer, trial, choice, rate, decay, arrays[f"dev-{number}"], tests))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return Part(answers, told["log"])


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
