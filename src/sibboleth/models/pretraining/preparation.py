"""From a pre-training file to what the loop needs, and from what it learnt to a folder that any verb takes."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sibboleth.errors import SibbolethError
from sibboleth.models import training
from sibboleth.models.encoders import arithmetic, utterance
from sibboleth.models.encoders.transformer import Transformer, quiet
from sibboleth.models.pretraining import clusters, pieces, start
from sibboleth.models.pretraining.clusters import Labels
from sibboleth.models.pretraining.objective import Objective
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.models.pretraining.speech import Batches, Cutting
from sibboleth.models.training import Schedule
from sibboleth.pretraining import DinoObjective, HubertObjective, Pretraining, Wav2vec2Objective

FIRST = 67_280_421_310_721
"""The seed that torch has before anybody sets one."""


@dataclass(frozen=True)
class Prepared:
    """All that a pre-training needs."""

    objective: Objective
    batches: Batches
    schedule: Schedule
    pieces: Pieces
    begin: Transformer
    fingerprint: dict[str, Any]
    """What must be the same for a training to go on."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For the record."""


def bfloat16(asked: Pretraining) -> bool:
    """Tell whether matrix products are to be in bfloat16."""
    wanted = asked.training.precision
    return arithmetic.bfloat16_pays() if wanted == "auto" else wanted == "bfloat16"


def prepare(asked: Pretraining, folder: Path, processes: int) -> Prepared:
    """Find speech and start, make targets (kept in the folder) and the objective."""
    begin = start.start(asked.start, asked.seed)
    found = pieces.gather(asked)
    frame = start.frame(begin.config, begin.rate)
    least = frame.field / frame.rate
    if asked.batches.shortest < least:
        raise SibbolethError(f"batches.shortest: {begin.name} needs {least:g} s for a frame; give that or more")
    targets = asked.objective.targets if isinstance(asked.objective, HubertObjective) else ()
    hours = asked.objective.hours if isinstance(asked.objective, HubertObjective) else 0.0
    wanted = [clusters.asked(target, found, frame, hours, asked.seed) for target in targets]
    fingerprint = _fingerprint(asked, begin, found, wanted, processes)
    training.saved(folder / training.STATE, fingerprint)  # before the targets of another training are overwritten
    every: list[Labels] = []
    facts: list[dict[str, Any]] = []
    for number, target in enumerate(targets):
        made = clusters.labels(target, found, frame, hours, asked.seed, folder / f"clusters-{number + 1}")
        every.append(made[0])
        facts.append(made[1])
    objective = _objective(asked, begin, facts)
    cutting = Cutting(
        views=views(asked), rate=begin.rate, hop=frame.hop, normalise=bool(begin.preprocessor.get("do_normalize", True))
    )
    return Prepared(
        objective,
        Batches(found, cutting, asked.batches, asked.augmentation, every, asked.seed),
        _schedule(asked),
        found,
        begin,
        fingerprint,
        {"clusters": facts},
    )


def views(asked: Pretraining) -> tuple[float, ...]:
    """Return the seconds of the cuts of each piece that the objective looks at."""
    if isinstance(asked.objective, DinoObjective):
        return (asked.objective.long,) * 2 + (asked.objective.short,) * asked.objective.shorts
    return (asked.batches.longest,)


def save(prepared: Prepared, folder: Path, card: str) -> Path:
    """Write the encoder, its extractor and its card as transformers does, whole or not at all.

    Beside one that was pre-trained on utterances stands what makes their embeddings.
    """
    from sibboleth.models.pretraining.dino import Dino

    model = prepared.objective.encoder
    part = folder.with_name(f".part-{folder.name}")
    if part.exists():
        shutil.rmtree(part)
    with quiet():
        model.save_pretrained(part)
    prepared.begin._extractor.save_pretrained(part)
    (part / "README.md").write_text(card, encoding="utf-8")
    if isinstance(prepared.objective, Dino):
        utterance.save(prepared.objective.embedder, part)
    for file in part.iterdir():
        file.chmod(0o644)  # safetensors keeps what it writes from everybody else
    swap(part, folder)
    return folder


def swap(part: Path, folder: Path) -> None:
    """Put a finished folder in the place of an older one."""
    if folder.exists():
        shutil.rmtree(folder)
    part.replace(folder)


def _objective(asked: Pretraining, begin: Transformer, facts: list[dict[str, Any]]) -> Objective:
    settings = asked.objective
    if isinstance(settings, HubertObjective):
        from sibboleth.models.pretraining.hubert import Hubert

        model = start.build(begin, asked.start)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST + asked.seed)
            return Hubert(model, settings, [one["perplexity"] for one in facts])
    if isinstance(settings, Wav2vec2Objective):
        from sibboleth.models.pretraining.wav2vec2 import wav2vec2

        return wav2vec2(begin, asked.start, settings, asked.seed)
    from sibboleth.models.pretraining.dino import dino

    return dino(begin, asked.start, settings, asked.seed)


def _schedule(asked: Pretraining) -> Schedule:
    wanted = asked.training
    return Schedule(
        steps=wanted.steps,
        learning_rate=wanted.learning_rate,
        warm_up=wanted.warm_up,
        weight_decay=wanted.weight_decay,
        betas=wanted.betas,
        epsilon=wanted.epsilon,
        clip=wanted.clip,
        accumulate=asked.batches.accumulate,
        workers=asked.batches.workers,
        save=wanted.save,
        bfloat16=bfloat16(asked),
        seed=asked.seed,
    )


def _fingerprint(
    asked: Pretraining, begin: Transformer, found: Pieces, wanted: list[dict[str, Any]], processes: int
) -> dict[str, Any]:
    """Hash each group of settings by itself, so that an error can say which is another."""
    written = asked.model_dump(mode="json", exclude={"name", "corpora", "start", "language"})
    written["batches"].pop("workers")
    written["training"].pop("save")
    named = {f"[{name}]" if isinstance(value, dict) else name: value for name, value in written.items()}
    named |= {"start": [begin.identity, asked.start.filters], "speech": found.digest, "processes": processes}
    named |= {"clusters": wanted, "bfloat16": bfloat16(asked)}
    return {name: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for name, one in named.items()}
