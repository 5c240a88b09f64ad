"""The model card of a pre-trained encoder: what it is, what it heard and how it was made."""

from collections.abc import Mapping

from sibboleth.models import markdown
from sibboleth.models.pretraining.preparation import Prepared
from sibboleth.pretraining import HubertObjective, Pretraining

OBJECTIVES = {
    "hubert": "HuBERT (masked prediction of clusters)",
    "wav2vec2": "wav2vec 2.0 (contrast of the true frame with others)",
    "dino": "DINO for utterances (a student follows a teacher over pieces of one utterance)",
}


def card(asked: Pretraining, prepared: Prepared, last: Mapping[str, float], versions: Mapping[str, str]) -> str:
    """Write it: metadata that `sibboleth check` reads, then facts for people; `last` is the log's last row."""
    spoken = _languages(asked, prepared)
    head = [
        f"language: {markdown.quoted(spoken[0]) if len(spoken) == 1 else markdown.listed(spoken)}" if spoken else "",
        "library_name: transformers",
        "pipeline_tag: feature-extraction",
        f"datasets: {markdown.listed([one.name for one in asked.corpora])}",
        f"base_model: {markdown.quoted(asked.start.checkpoint)}" if asked.start.checkpoint else "",
    ]
    facts = [
        ("objective", OBJECTIVES[asked.objective.kind]),
        *_targets(asked, prepared),
        ("begun with", _start(asked, prepared)),
        ("speech", f"{prepared.pieces.hours:.1f} h in {len(prepared.pieces.table):,} pieces, {_corpora(asked)}"),
        ("heard in training", f"{last['audio seconds'] / 3600:.1f} h"),
        ("steps", f"{asked.training.steps:,} of {_batch(asked)}, learning rate {asked.training.learning_rate:g}"),
        ("augmentation", _augmentation(asked)),
        ("parameters", f"{sum(one.numel() for one in prepared.objective.encoder.parameters()) / 1e6:.2f} million"),
        ("seed", str(asked.seed)),
        ("at the end", ", ".join(f"{name} {value:.3g}" for name, value in last.items() if name not in _PLACE)),
        ("made with", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    lines = ["---", *filter(None, head), "---", "", f"# {markdown.text(asked.name)}", ""]
    lines += ["An encoder of speech, pre-trained without labels by sibboleth.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {markdown.text(value)} |" for name, value in facts]
    return "\n".join(lines) + "\n"


def _languages(asked: Pretraining, prepared: Prepared) -> list[str]:
    """Return the languages that it heard, as far as files or manifests say."""
    if asked.language is not None:
        return [asked.language]
    return prepared.pieces.table["language"].drop_nulls().unique().sort().to_list()


_PLACE = ("step", "audio seconds", "learning rate")


def _targets(asked: Pretraining, prepared: Prepared) -> list[tuple[str, str]]:
    if not isinstance(asked.objective, HubertObjective):
        return []
    both = zip(asked.objective.targets, prepared.facts["clusters"], strict=True)
    told = [
        f"{target.clusters} of {target.features}{'' if target.layer is None else f', layer {target.layer}'} "
        f"(as many in use as {fact['perplexity']:.0f} equally common ones)"
        for target, fact in both
    ]
    return [("clusters", "; ".join(told))]


def _start(asked: Pretraining, prepared: Prepared) -> str:
    filters = ", first convolution as band-pass filters evenly spaced in mel" if asked.start.filters == "mel" else ""
    if asked.start.checkpoint:
        return f"{asked.start.checkpoint} ({prepared.begin.identity[:12]})"
    return f"random weights of {asked.start.architecture}{filters}"


def _corpora(asked: Pretraining) -> str:
    return ", ".join(one.name + (f" ({one.hours:g} h)" if one.hours else "") for one in asked.corpora)


def _batch(asked: Pretraining) -> str:
    several = f" x {asked.batches.accumulate}" if asked.batches.accumulate > 1 else ""
    return f"{asked.batches.seconds:g} s{several}"


def _augmentation(asked: Pretraining) -> str:
    given = {name: value for name, value in asked.augmentation.model_dump().items() if isinstance(value, float)}
    told = [f"{name} {value:g}{' dB' if name == 'gain' else ''}" for name, value in given.items() if value]
    return ", ".join(told) or "none"
