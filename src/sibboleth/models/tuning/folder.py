"""A trained model as a folder: a plain encoder, a peft adapter, a head, and what they are.

`encoder/` is what transformers loads, `adapter/` what peft loads, `head.safetensors` holds the head and what neither
has a place for: the layer mix, weight gates, bottleneck adapters, the scale of numbers or of what the head hears. It is
written whole or not at all, and holds no pickle.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load_file, save_file
from torch import Tensor

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoders
from sibboleth.models.adapters import adapt, adapter_state, load_adapter_state, save_peft
from sibboleth.models.encoders import Encoder, arithmetic, identify, utterance
from sibboleth.models.encoders.checkpoint import Checkpoint, checkpoint
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.losses import Kind
from sibboleth.models.tuning import card, context
from sibboleth.models.tuning import record as records
from sibboleth.models.tuning.encoder import Shortened, TunedEncoder
from sibboleth.models.tuning.final import Tried
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.model import Model
from sibboleth.models.tuning.network import Head, Tuned
from sibboleth.models.tuning.record import FILE, ModelRecord, hub_name
from sibboleth.models.tuning.segmenter import Segmenter
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.runs import RunDirectory
from sibboleth.study import EncoderSettings

ENCODER, ADAPTER, HEAD, CARD, LOG = "encoder", "adapter", "head.safetensors", "README.md", "training.parquet"
SCALES = ("centre", "spread", "scale")
"""What a head knows of the numbers that it learnt, or hears, beside its weights."""
STATE = "state"
"""Folder of a training that is not finished."""


def require_free(folder: Path) -> None:
    """Raise `SibbolethError` where no model can be written, or something else would be lost."""
    if (folder / "run.json").exists():
        raise SibbolethError(f"{folder}: holds a run; choose another folder with --output")
    if not (folder / FILE).exists():
        RunDirectory(folder).require_writable(begun=(STATE,))


def finished(folder: Path, fingerprint: str) -> ModelRecord | None:
    """Return what is known of the model in a folder, if it is the one; raises `SibbolethError` for another's."""
    if not (folder / FILE).exists():
        return None
    there = records.read(folder)
    if there.fingerprint != fingerprint:
        raise SibbolethError(
            f"{folder}: holds a model of other settings, speech or encoder; choose another --output, or delete it"
        )
    return there


def save(
    folder: Path, record: ModelRecord, encoder: Encoder, network: Tuned, log: Sequence[Sequence[Tried]] = ()
) -> Path:
    """Write a trained network in the place of its training's state; `log` has the trainings of every stage.

    Raises `SibbolethError` where the disk does not let us.
    """
    part = folder.with_name(f".part-{folder.name}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if record.encoder.copied:
            assert isinstance(encoder, Transformer)
            _save_encoder(part / ENCODER, record, encoder, network)
            (part / ENCODER / CARD).write_text(card.encoder_card(record), encoding="utf-8")
        if record.method.lora is not None and network.stack is not None:
            save_peft(network.stack, part / ADAPTER)
            _name_its_base(part / ADAPTER, record)
        save_file(_own(network), part / HEAD, metadata={"format": "pt"})
        if log:
            _table(record, log).write_parquet(part / LOG)
        (part / CARD).write_text(card.card(record), encoding="utf-8")
        (part / FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for file in part.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors keeps what it writes from everybody else
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as error:
        why = error.strerror or str(error)
        raise SibbolethError(
            f"{folder}: cannot be written ({why}); make room there or choose another --output"
        ) from None
    return folder


def load(path: Path | str, *, trust: bool = False) -> Model:
    """Load a trained model; its encoder, where that is a Python function, only where you `trust` its code.

    Raises `SibbolethError` where the folder is none, is damaged, or has weights in another format than safetensors, and
    `InvalidInput` where the model transcribes or makes segments.
    """
    model = opened(path, trust=trust)
    verbs = {"transcription": ("transcribes", "transcribe"), "segmentation": ("makes segments", "diarize")}
    if model.record.kind in verbs:
        does, verb = verbs[model.record.kind]
        raise InvalidInput(f"{path}: a model that {does}; `sibboleth {verb} {path} AUDIO` uses it")
    return model


def opened(path: Path | str, *, trust: bool = False) -> Model:
    """Load a trained model of any kind; raises as `load` does."""
    folder = Path(path)
    if (folder / STATE).is_dir() and not (folder / FILE).exists():
        raise SibbolethError(f"{folder}: its training is not finished; run the same `sibboleth train` to go on")
    record = records.read(folder)
    encoder = _encoder(folder, record, trust)
    weights = _read(folder / HEAD)
    network = _network(record)
    adapters = {name: one for name, one in weights.items() if name.startswith("stack.")}
    _take(network, {name: one for name, one in weights.items() if name not in adapters}, folder / HEAD)
    network.to(arithmetic.device()).eval()
    if not record.method.adapts:
        return Model(record, encoder, range(record.encoder.lowest, record.encoder.layers + 1), network)
    assert isinstance(encoder, Checkpoint)
    stack = Stack(encoder, record.encoder.lowest, record.encoder.layers)
    adapt(stack, record.method, 0)
    there = {name.removeprefix("stack."): one for name, one in adapters.items()}
    if record.method.lora is not None:
        there |= _updates(_read(folder / ADAPTER / "adapter_model.safetensors"), stack)
    kept = {name: one for name, one in adapter_state(stack).items() if stack.trained[name] in ("layers", "encoder")}
    load_adapter_state(stack, there | kept)
    stack.to(arithmetic.device()).requires_grad_(False).eval()
    states = max(1, _mixed(record))
    tuned = TunedEncoder.of(
        encoder,
        stack,
        states,
        identity=identify(tuned=record.fingerprint),
        bfloat16=record.bits == "bfloat16",
        audio=record.from_audio,
    )
    return Model(record, tuned, range(states), network)


def _network(record: ModelRecord) -> Tuned:
    """Build the head, and the mix before it."""
    mixed, masking = _mixed(record), Masking(0.0, 1)
    if record.kind == "transcription":
        out = 1 + len(record.characters)
        head = Head(_heard(record), record.method.head, out, 0)
        states, dim = max(1, mixed), record.encoder.dim
        return Transcriber(None, [head], states, dim, mixed=mixed, out=out, trains_front=False, masking=masking)
    out = len(record.labels) or 1
    if record.kind == "segmentation":
        around, about = record.method.head.context, record.encoder
        head, states = Head(context.size(_heard(record), around), record.method.head, out, 0), max(1, mixed)
        told: dict[str, Any] = {"mixed": mixed, "out": out, "trains_front": False, "masking": masking}
        told |= {"stride": None if about.stride is None else about.stride / about.rate, "context": around}
        return Segmenter(None, [head], states, about.dim, **told)
    loss: Kind = "cross-entropy" if record.labels else "squared"
    return Tuned(None, Head(_heard(record), record.method.head, out, 0), mixed, out, loss, False, masking)


def _table(record: ModelRecord, log: Sequence[Sequence[Tried]]) -> pl.DataFrame:
    """Make a table of all epochs."""
    rows = [
        {"stage": number, "domain": stage.domain, "learning_rate": one.rate, **asdict(told)}
        | {"selected": (one.rate, told.epoch) == (stage.learning_rate, stage.epoch)}
        for number, (stage, several) in enumerate(zip(record.stages, log, strict=True), start=1)
        for one in several
        for told in one.log
    ]
    return pl.DataFrame(rows, infer_schema_length=None).drop("watch")


def _save_encoder(folder: Path, record: ModelRecord, encoder: Transformer, network: Tuned) -> None:
    """Write the layers that are kept, with their weights as they are now, and the encoder's feature extractor."""
    plain = getattr(encoder, "backbone", encoder)
    kept = plain.layers - 1 if plain is not encoder else record.encoder.layers
    stack = network.stack if network.stack is not None else Stack(plain, kept, kept)
    stack.save(folder)
    encoder._extractor.save_pretrained(folder)
    if plain is not encoder:
        source: Path = encoder.folder  # type: ignore[attr-defined] # an utterance encoder's
        for name in utterance.FILES:
            shutil.copyfile(source / name, folder / name)


def _name_its_base(folder: Path, record: ModelRecord) -> None:
    """Name the encoder beside the adapter as its base, where the one that the study names is not what it belongs to."""
    if record.method.train == "head" and hub_name(record.encoder.name):
        return
    file = folder / "adapter_config.json"
    told = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": ENCODER, "revision": None}
    file.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _own(network: Tuned) -> dict[str, Tensor]:
    """Return what neither transformers nor peft has a place for."""
    trained = network.trained()
    if network.stack is not None:
        kinds = network.stack.trained
        elsewhere = {f"stack.{name}" for name, kind in kinds.items() if kind in ("lora", "layers", "encoder")}
        trained = {name: one for name, one in trained.items() if name not in elsewhere}
    if network.loss == "squared":
        trained |= {"centre": network.centre.cpu(), "spread": network.spread.cpu()}
    if isinstance(network, Transcriber):
        trained |= {"scale": network.scale.cpu()}
    return {name: one.contiguous() for name, one in trained.items()}


def _encoder(folder: Path, record: ModelRecord, trust: bool) -> Encoder:
    about = record.encoder
    settings = EncoderSettings(
        name=about.name, language=about.language, pooling=about.pooling, precision=about.precision, seed=record.seed
    )
    if not about.copied:
        if about.name.startswith("python:") and not trust:
            raise SibbolethError(
                f"{folder}: its encoder is the Python function {about.name.removeprefix('python:')}, whose file would "
                "be run; look at it, and give --trust (trust=True) where you trust it"
            )
        named = encoders.load(settings)
        if named.identity != about.identity:
            raise SibbolethError(
                f"{folder}: its encoder {about.name!r} is not the one that its head was trained with (another version "
                "of its code or weights); train again, or get that version back"
            )
        return named
    place = folder / ENCODER
    if not list(place.glob("model*.safetensors")):
        raise SibbolethError(
            f"{place}: has no weights as safetensors (model.safetensors); other formats are not loaded, as a pickle "
            "could run any code"
        )
    found = checkpoint(settings.model_copy(update={"name": str(place)}))
    if found.layers - 1 != about.layers:
        raise SibbolethError(f"{place}: has {found.layers - 1} layers, and {FILE} says {about.layers}; copy both again")
    if about.family == "whisper" and about.layers < about.whole:
        assert isinstance(found, Checkpoint)
        return Shortened.of(found, about.layers)
    return found


def _read(file: Path) -> dict[str, Tensor]:
    """Read weights; raises `SibbolethError` where there are none, or another format."""
    if not file.is_file():
        raise SibbolethError(f"{file}: is missing; weights are loaded as safetensors only. Copy the whole folder again")
    try:
        found: dict[str, Tensor] = load_file(file)
    except Exception as error:  # safetensors raises whatever its parser raises
        raise SibbolethError(f"{file}: cannot be read as safetensors ({error}); copy the folder again") from None
    return found


def _take(network: Tuned, weights: Mapping[str, Tensor], file: Path) -> None:
    """Put the head's weights into its place; raises `SibbolethError` where they are another head's."""
    scale = {name: weights[name] for name in SCALES if name in weights}
    own = {name: one for name, one in weights.items() if name not in scale}
    shapes = {name: one.shape for name, one in network.named_parameters()}
    if {name: one.shape for name, one in own.items()} != shapes:
        raise SibbolethError(f"{file}: holds another head than {FILE} describes; copy the folder again")
    network.take(own)
    for name, one in scale.items():
        getattr(network, name).copy_(one)


def _updates(weights: Mapping[str, Tensor], stack: Stack) -> dict[str, Tensor]:
    """Give low-rank updates of peft's file the names that they have in the stack."""
    inside = "base_model.model." + ("encoder." if stack.family == "whisper" else "")
    return {
        "model." + name.removeprefix(inside).replace(".weight", ".default.weight"): one for name, one in weights.items()
    }


def _mixed(record: ModelRecord) -> int:
    return record.encoder.layers - record.encoder.lowest + 1 if record.method.mix else 0


def _heard(record: ModelRecord) -> int:
    """Return the size of what the head hears."""
    return record.encoder.dim * (2 if record.encoder.pooling == "mean+std" else 1)
