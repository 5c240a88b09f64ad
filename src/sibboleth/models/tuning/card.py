"""The model card of a trained model: what it is, how good, how it is loaded, and what it cannot do."""

from collections.abc import Iterator
from typing import Any

from sibboleth.methods import TuningAugmentation
from sibboleth.models import markdown
from sibboleth.models.markdown import listed, quoted
from sibboleth.models.tuning import snippet
from sibboleth.models.tuning.record import ModelRecord, ScoreRecord, StageRecord, hub_name
from sibboleth.targets import FRAMED

METRICS = {"uar": "recall"}
"""What the hub calls a metric of ours: UAR is the mean recall."""
TITLES = {"uar": "UAR", "ccc": "CCC", "wer": "WER", "cer": "CER", "eder": "EDER"}
TASKS = {"classification": "audio-classification", "transcription": "automatic-speech-recognition"}
"""What the hub calls what a model does."""


def card(record: ModelRecord) -> str:
    """Write it: metadata for the hub, then facts for people."""
    title, summary = markdown.text(record.name), markdown.text(_summary(record))
    lines = ["---", *_metadata(record, record.languages), "---", "", f"# {title}", "", summary, ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {markdown.text(value)} |" for name, value in _facts(record)), ""]
    lines += ["## Scores", "", *_scores(record), "", "## Use", "", *_use(record), "## Limits", ""]
    lines += [f"- {markdown.text(one)}" for one in _limits(record)]
    return "\n".join(lines) + "\n"


def encoder_card(record: ModelRecord) -> str:
    """Write the card of the encoder in the folder, from which an audit learns which corpora it knows the labels of."""
    trained = record.method.train != "head"
    what = (
        f"The encoder of a model that sibboleth trained with labels ({record.target}); its weights were trained."
        if trained
        else f"The encoder of a model that sibboleth trained, as it was before: {record.encoder.name}."
    )
    title, what = markdown.text(record.name), markdown.text(what)
    lines = ["---", *_metadata(record, (), corpora=trained), "---", "", f"# {title}: encoder", "", what, ""]
    return "\n".join(lines)


def _metadata(record: ModelRecord, languages: tuple[str, ...], corpora: bool = True) -> Iterator[str]:
    if languages:
        yield f"language: {listed(languages)}"
    yield "library_name: sibboleth"
    if record.kind in TASKS:
        yield f"pipeline_tag: {TASKS[record.kind]}"
    if base := hub_name(record.encoder.name):
        yield f"base_model: {quoted(base)}"
        yield f"base_model_relation: {'adapter' if record.method.train == 'head' else 'finetune'}"
    if corpora:
        yield f"datasets: {listed([one['name'] for one in record.corpora])}"
    tags = ["speech", record.target, *(["peft", "lora"] if record.method.lora else [])]
    yield f"tags: {listed(tags)}"
    yield f"metrics: {listed([METRICS.get(record.metric, record.metric)])}"


def _summary(record: ModelRecord) -> str:
    what = f"Estimates {record.target} in speech, as a number."
    if record.labels:
        what = f"Tells {record.target} in speech: {', '.join(record.labels)}."
    if record.kind == "transcription":
        what = "Transcribes speech, character by character (CTC, greedy decoding, no language model)."
    if record.kind == "segmentation":
        what = f"Tells which of {', '.join(record.labels)} holds when in speech, frame by frame."
    places = " and then on ".join(one.domain for one in record.stages)
    return f"{what} {record.encoder.name} with the method {record.method.name}, trained by sibboleth on {places}."


def _facts(record: ModelRecord) -> Iterator[tuple[str, str]]:
    encoder, method = record.encoder, record.method
    yield "encoder", f"{encoder.name} ({encoder.identity[:12]}), {_layers(record)}"
    yield "method", _method(record)
    share = sum(record.trained.values()) / max(1, record.total)
    parts = ", ".join(f"{name} {count:,}" for name, count in record.trained.items())
    yield "trained parameters", f"{sum(record.trained.values()):,} of {record.total:,} ({share:.2%}): {parts}"
    for number, stage in enumerate(record.stages, start=1):
        title = "trained on" if len(record.stages) == 1 else f"stage {number}"
        yield title, _stage(stage, record.column)
    if record.label_counts:
        yield "training utterances", ", ".join(f"{label} {count:,}" for label, count in record.label_counts.items())
    if record.kind == "transcription":
        shown = " ".join(record.characters.replace(" ", "␣"))
        yield "characters", f"{len(record.characters)}: {shown} (␣ is the blank between words)"
        yield "texts", f"as the normalisation `{record.normalisation}` leaves them"
    if record.kind == "segmentation":
        told = ", ".join(f"{label} {seconds / 60:.1f} min" for label, seconds in record.label_seconds.items())
        yield "training speech", told
        yield "segments", f"of frames by {record.decoder}, chosen by dev; no segment: {record.background or 'no such'}"
    training = method.training
    assert training is not None
    batch = f"{training.batch_seconds:g} s" if training.batch_size is None else f"{training.batch_size} utterances"
    yield "training", f"{training.optimiser}, learning rate {_rate(record)}, batches of {batch}"
    yield "augmentation", _augmentation(training.augmentation)
    yield "audio", f"{encoder.rate:,} Hz, channels averaged; above 30 s in overlapping windows of 30 s"
    yield "arithmetic", record.bits
    yield "seed", str(record.seed)
    yield "study", str(record.study.get("name"))
    yield "made with", ", ".join(f"{name} {version}" for name, version in record.versions.items())


def _rate(record: ModelRecord) -> str:
    """Say the learning rate, and among which dev chose it."""
    training, chosen = record.method.training, record.stages[0].learning_rate
    assert training is not None
    if len(training.rates) == 1 or chosen is None:
        return f"{training.rates[0]:g}"
    return f"{chosen:g}, chosen by dev among {', '.join(f'{one:g}' for one in training.rates)}"


def _augmentation(changes: TuningAugmentation) -> str:
    told = [f"speed {', '.join(f'{one:g}' for one in changes.speed)}"] if changes.speed else []
    for name in ("gain", "reverberation", "noise", "babble", "colour", "mask"):
        value: float = getattr(changes, name)
        told += [f"{name} {value:g}{' dB' if name == 'gain' else ''}"] if value else []
    return ", ".join(told) or "none"


def _layers(record: ModelRecord) -> str:
    encoder = record.encoder
    time = "frame by frame" if record.kind in FRAMED else f"{encoder.pooling} over time"
    if encoder.family is None or encoder.whole == 0:
        return f"{encoder.dim} numbers, {time}"
    kept = f"{encoder.layers} of its {encoder.whole} layers" if encoder.layers < encoder.whole else "all its layers"
    heard = f"hidden states {encoder.lowest} to {encoder.layers}, mixed" if record.method.mix else "the last one"
    return f"{kept}; the head hears {heard}, {time}"


def _method(record: ModelRecord) -> str:
    method, above = record.method, f" above hidden state {record.encoder.lowest}" if record.encoder.lowest else ""
    told = []
    if method.lora is not None:
        told.append(f"LoRA (rank {method.lora.rank}, alpha {method.lora.alpha:g}, {', '.join(method.lora.targets)})")
    if method.bottleneck is not None:
        told.append(f"{method.bottleneck.placement} bottleneck adapters (reduction {method.bottleneck.reduction:g})")
    if method.gate is not None:
        told.append("weight gates")
    if method.train != "head":
        told.append("all weights" if method.train == "encoder" else "the transformer layers")
    adapted = f"{', '.join(told)}{above}" if told else "the encoder as it was"
    hidden = "-".join(map(str, method.head.hidden))
    return f"{method.name}: {adapted}; {'learned layer mix, ' if method.mix else ''}head {hidden or 'linear'}"


def _stage(stage: StageRecord, column: str) -> str:
    return (
        f"{column} {stage.domain}: {stage.utterances:,} utterances of {stage.speakers} speakers ({stage.hours:.2f} h); "
        f"{stage.dev_utterances:,} of {stage.dev_speakers} other speakers chose epoch {stage.epoch} of {stage.epochs}"
    )


def _scores(record: ModelRecord) -> Iterator[str]:
    title, last = TITLES.get(record.metric, record.metric), record.stages[-1]
    domain, column = markdown.text(last.domain), markdown.text(record.column)
    dev = "not defined" if last.dev is None else f"{last.dev:.3f}"
    if record.scores:
        yield (
            f"Of the study {markdown.text(str(record.study.get('name')))}, cross-validated with the same encoder, "
            f"method and settings; {_divided(record)} {record.confidence:.0%} intervals resample speakers. The model "
            "in this folder was trained on more: all but its dev speakers."
        )
        yield ""
        yield from _table(record)
        yield ""
    else:
        yield "No cross-validated scores of this encoder, method and source were there when it was trained."
        yield ""
    yield (
        f"On its own dev speakers ({last.dev_speakers} of {domain}, {last.dev_utterances:,} utterances) it has "
        f"{title} {dev}. They chose the epoch, so that is rather too {'low' if record.kind in FRAMED else 'high'}, and "
        f"it says nothing about any other {column}."
    )


def _table(record: ModelRecord) -> Iterator[str]:
    """Write the scores, a column for each metric."""
    names = list(dict.fromkeys(one.metric for one in record.scores))
    told = [TITLES.get(name, name) for name in names]
    yield f"| regime | {markdown.text(record.column)} | {' | '.join(told)} | utterances | speakers |"
    yield "|---" * (4 + len(names)) + "|"
    rows: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for one in record.scores:
        rows.setdefault((one.regime, one.domain), {})[one.metric] = one
    for (regime, domain), mine in rows.items():
        told = [_interval(mine[name]) if name in mine else "" for name in names]
        first = next(iter(mine.values()))
        yield f"| {regime} | {markdown.text(domain)} | {' | '.join(told)} | {first.utterances:,} | {first.speakers} |"


def _divided(record: ModelRecord) -> str:
    """Say whether the scores are of unheard speakers."""
    told: dict[str, Any] = record.study.get("splits", {})
    schemes = {told.get("scheme"), *told.get("schemes", {}).values()}
    if schemes & {"random-folds", "file"}:
        return "its splits may have the same speakers in train and test, which flatters."
    return "each utterance was answered by a model that had not heard its speaker."


def _interval(one: ScoreRecord) -> str:
    if one.estimate is None:
        return "not defined"
    known = one.low is not None and one.high is not None
    return f"{one.estimate:.3f}" + (
        f" [{one.low:.3f}, {one.high:.3f}]" if known else " (too few speakers for an interval)"
    )


def _use(record: ModelRecord) -> Iterator[str]:
    trust = " --trust" if record.encoder.name.startswith("python:") and not record.encoder.copied else ""
    argument = ", trust=True" if trust else ""
    if record.kind == "transcription":
        yield from ("```", f"sibboleth transcribe FOLDER{trust} speech/*.wav --output transcripts.csv", "```", "")
        yield from ("In Python:", "", "```python", "import soundfile", "")
        yield from ("from sibboleth.models import recognition", "from sibboleth.study import EncoderSettings", "")
        yield f'model = recognition.load(EncoderSettings(name="FOLDER"){argument})'
    elif record.kind == "segmentation":
        yield from ("```", f"sibboleth diarize FOLDER{trust} speech/*.wav --output segments", "```", "")
        yield from ("In Python:", "", "```python", "import soundfile", "")
        yield from ("from sibboleth.models import diarization", "")
        yield f'model = diarization.load("FOLDER"{argument})'
    else:
        yield from ("```", f"sibboleth predict FOLDER{trust} speech/*.wav --output predictions.csv", "```", "")
        yield from ("In Python:", "", "```python")
        yield from ("import soundfile", "", "from sibboleth.models.tuning import folder", "")
        yield f'model = folder.load("FOLDER"{argument})'
    yield 'audio, rate = soundfile.read("speech.wav", dtype="float32")'
    verb = {"transcription": "transcribe", "segmentation": "segments"}.get(record.kind, "predict")
    yield from (f"print(model.{verb}(audio, rate))", "```", "")
    if not record.encoder.copied:
        name = markdown.text(record.encoder.name)
        yield f"The encoder, {name}, is not in the folder: it is sibboleth's own, or a Python function."
        yield ""
        return
    yield from snippet.told(record)


def _limits(record: ModelRecord) -> Iterator[str]:
    speakers = record.stages[-1].speakers
    yield f"It has heard {speakers} speakers of {record.stages[-1].domain}; others may be recognised less well."
    missing = [label for label, count in record.label_counts.items() if not count]
    if missing:
        yield f"No utterance it was trained on is {' or '.join(missing)}, so it will not answer that."
    if record.kind == "segmentation":
        yield (
            "Every moment has one of its labels, also noise and silence, and two at once are never told. Where one "
            "begins is not known better than what it was trained on says."
        )
    elif record.labels:
        yield (
            "It always answers with one of its labels, also for speech that has none of them, for noise and silence. "
            "Its probabilities were not calibrated."
        )
    if record.kind == "transcription":
        yield "It writes none but its characters, and letters that sound alike rather than words that exist."
    if record.target in ("emotion", "arousal", "valence"):
        yield "Labels are what listeners or actors agreed on in these corpora, not what a person feels."
    if any(one.get("synthetic") for one in record.corpora):
        yield "Some of the speech it was trained on was spoken by a program; it says little about people."
    if record.kind == "segmentation":
        yield "Audio above 30 s is answered about in overlapping windows, whose answers are averaged."
    elif record.kind == "transcription":
        yield "Audio above 30 s is encoded in overlapping windows, whose frames are joined and decoded together."
    else:
        yield "Audio above 30 s is encoded in windows; a label then stands for all of it."
    yield from snippet.limits(record)
