"""The final model of a study: one encoder and one method, trained on all speakers of a domain but those of dev."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from sibboleth import metrics, splits, upstreams
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import listening, timelines, transcripts, tuned, windows
from sibboleth.experiment import record as records
from sibboleth.experiment.material import Material, splittable
from sibboleth.experiment.tuned import TunedWork
from sibboleth.methods import MethodSettings
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Rows, Stage
from sibboleth.study import EncoderSettings, Study

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.tuning.final import Final
    from sibboleth.models.tuning.inputs import Inputs
    from sibboleth.models.tuning.record import ModelRecord


@dataclass(frozen=True)
class Wanted:
    """What is to be trained."""

    encoder: EncoderSettings
    method: MethodSettings
    source: str | None
    """Where the study has but one domain, which it is."""
    then: str | None


def wanted(study: Study, encoder: str | None, method: str | None, source: str | None, then: str | None) -> Wanted:
    """Find what is asked for; raises `InvalidInput` naming what there is."""
    encoders = {one.name: one for one in study.encoders}
    if encoder is not None and encoder not in encoders:
        encoder = upstreams.checkpoints().get(encoder.removeprefix(upstreams.PREFIX), encoder)
    methods = {one.name: one for one in study.methods}
    if not methods:
        raise InvalidInput(f"study {study.name!r} has no [[methods]]; a model is trained by one of them")
    found = Wanted(encoders[_one("encoder", encoder, encoders)], methods[_one("method", method, methods)], source, then)
    if found.method.as_is:
        raise InvalidInput(
            f"method {found.method.name!r} trains nothing; `sibboleth diarize {found.encoder.name}` uses the model"
        )
    return found


def _one(option: str, name: str | None, there: Sequence[str] | dict[str, Any]) -> str:
    """Return the one that is named, or the only one."""
    known = list(there)
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        told = "is needed" if name is None else f"{name!r} is not in the study"
        raise InvalidInput(f"--{option} {told}; there are: {', '.join(known) or 'none'}")
    return str(name)


def narrowed(material: Material, wanted: Wanted) -> tuple[Material, tuple[Stage, ...]]:
    """Keep the utterances of the domains that train, and divide these into train and dev.

    Raises `InvalidInput` for a domain that is not there, is only tested, or has too few speakers.
    """
    study = material.study
    there = [
        name for name in material.table[study.domain].unique().sort().to_list() if name not in study.splits.test_only
    ]
    names = [_one("source", wanted.source, there)]
    if wanted.then is not None:
        names.append(_one("then", wanted.then, there))
        if names[0] == names[1]:
            raise InvalidInput(f"--then names {names[1]!r}, which is the source; leave it out")
    mask = material.table[study.domain].is_in(names)
    kept = replace(material, table=material.table.filter(mask), scan=material.scan.filter(mask))
    folds = splits.whole(splittable(kept), study.domain, kept.target.name, study.splits, study.seed)
    judged = np.flatnonzero(np.isin(np.flatnonzero(mask), listening.judged(material)))
    single = {name: [fold] for name, fold in folds.items()}
    folds = {name: fold for name, (fold,) in listening.withheld(single, judged).items()}
    stages = tuple(Stage(name, folds[name].train, folds[name].dev) for name in names)
    return transcripts.lettered(kept, [_fit(one) for one in stages]), stages


def _fit(stage: Stage) -> Fit:
    """Write a stage as a fit that nothing is tested of."""
    return Fit(stage.domain, "whole", stage.train, stage.dev, ())


def work(material: Material, wanted: Wanted, encoder: "Encoder", stages: Sequence[Stage]) -> TunedWork:
    """Say how the network is made; raises `InvalidInput` for a method that the encoder cannot be trained with."""
    found = tuned.works(material.study, wanted.encoder, encoder, [_fit(stages[0])], material.out, material.background)
    mine = next((one for one in found if one.tuning.method.name == wanted.method.name), None)
    if mine is None:
        able = ", ".join(one.tuning.method.name for one in found) or "none"
        raise InvalidInput(
            f"encoder {wanted.encoder.name!r} has no layers that method {wanted.method.name!r} could train; methods of "
            f"the study that can be tried with it: {able}"
        )
    return mine


def encodable(stages: Sequence[Stage], missing: Sequence[int], encoder: str) -> tuple[Stage, ...]:
    """Take out rows that could not be encoded, or not learnt; raises `SibbolethError` where that leaves nothing."""

    def left(rows: Rows) -> Rows:
        return rows[~np.isin(rows, missing)]

    kept = tuple(replace(one, train=left(one.train), dev=left(one.dev)) for one in stages)
    if any(not len(one.train) or not len(one.dev) for one in kept):
        raise SibbolethError(
            f"encoder {encoder!r} fails on so many utterances, or has too few frames for so many texts, that nothing "
            "is left to train on or to select with"
        )
    return kept


def windowed(material: Material, stages: Sequence[Stage]) -> tuple[Material, tuple[Stage, ...]]:
    """Put windows in the place of rows of segments that are too long, as the network is given them."""
    cut = windows.of(material)
    parted = tuple(replace(one, train=cut.rows(one.train), dev=cut.rows(one.dev)) for one in stages)
    return windows.behind(material, cut), parted


def fingerprint(material: Material, work: TunedWork, given: "Inputs", stages: Sequence[Stage]) -> str:
    """Hash all that determines the weights, but for how many processes train."""
    digest = hashlib.sha256(repr((work.encoder.identity, work.tuning, material.target)).encode())
    if material.alphabet is not None:
        digest.update(repr((material.alphabet.known, material.study.target.normalisation)).encode())
    for one in stages:
        for rows in (one.train, one.dev):
            digest.update(f"|{one.domain}|{len(rows)}".encode())
            for column in (material.table["utterance"], material.scan["digest"]):
                digest.update("\n".join(column.gather(rows)).encode())
            digest.update(np.ascontiguousarray(given.truth[rows]).tobytes())
    return digest.hexdigest()


def described(
    material: Material,
    work: TunedWork,
    final: "Final",
    name: str,
    scores: pl.DataFrame,
) -> "ModelRecord":
    """Say all that is known of a trained model; `scores` are those of `crossvalidated`."""
    from sibboleth.models.encoders.transformer import Transformer
    from sibboleth.models.tuning import course
    from sibboleth.models.tuning.record import EncoderRecord, ModelRecord, ScoreRecord

    study, target, encoder, tuning = material.study, material.target, work.encoder, work.tuning
    family = encoder.config["model_type"] if isinstance(encoder, Transformer) else None
    heard = np.concatenate([one.train for one in final.stages])
    counted = target.labels if target.kind == "classification" else ()
    weights = final.inputs.truth[heard].sum(axis=0)
    bits = "bfloat16" if course.bfloat16(tuning.training) else "float32"
    return ModelRecord(
        name=name,
        kind=study.target.kind,
        target=target.name,
        labels=timelines.outputs(target) if target.kind == "segmentation" else target.labels,
        characters=material.alphabet.known if material.alphabet is not None else "",
        normalisation=study.target.normalisation if material.alphabet is not None else None,
        **_segmenting(material, final, heard),
        method=tuning.method.model_copy(update={"training": tuning.training}),
        encoder=EncoderRecord(
            name=encoder.name,
            identity=encoder.identity,
            language=encoder.language,
            rate=encoder.rate,
            stride=encoder.stride,
            dim=encoder.dim,
            whole=encoder.layers - 1,
            layers=tuning.layers,
            lowest=tuning.lowest,
            pooling=tuning.pooling,
            precision=encoder.precision,
            family=family,
            copied=family is not None,
        ),
        preprocessing=_preprocessing(encoder),
        bits=bits,
        trained=final.parts,
        total=_total(work, final),
        column=study.domain,
        stages=tuple(_stage(material, final, number) for number in range(len(final.stages))),
        metric=metrics.of(target)[0].name,
        scores=tuple(ScoreRecord.model_validate(row) for row in scores.to_dicts()),
        confidence=study.statistics.confidence,
        languages=tuple(material.table["language"].gather(heard).drop_nulls().unique().sort()),
        corpora=tuple(_corpora(material)),
        label_counts={label: round(float(one)) for label, one in zip(counted, weights, strict=False)},
        seed=study.seed,
        study=_published(study),
        fingerprint=final.fingerprint,
        versions=records.versions(),
    )


def _segmenting(material: Material, final: "Final", heard: Rows) -> dict[str, Any]:
    """Say how a model makes segments, and what it learnt them from; nothing of others."""
    from sibboleth.models.decoding.timelines import unpacked
    from sibboleth.models.tuning.segmenter import Segmenter

    if not isinstance(final.network, Segmenter):
        return {}
    names = timelines.outputs(material.target)
    seconds = sum((one.covered(len(names)) for one in unpacked(final.inputs.truth[heard])), np.zeros(len(names)))
    return {
        "background": None if material.background is None else names[material.background],
        "decoder": final.network.decoders[0],
        "label_seconds": dict(zip(names, np.round(seconds, 3).tolist(), strict=True)),
    }


def _total(work: TunedWork, final: "Final") -> int:
    """Count the parameters of head and encoder, also where the encoder is left as it was."""
    from sibboleth.models.adapters import counts
    from sibboleth.models.encoders.transformer import Transformer

    found = sum(one.numel() for one in final.network.parameters())
    encoder = getattr(work.encoder, "backbone", work.encoder)
    if final.network.stack is None and isinstance(encoder, Transformer):
        found += counts.size(encoder, work.tuning.layers if encoder is work.encoder else encoder.layers - 1)
    return found


def _preprocessing(encoder: "Encoder") -> dict[str, Any]:
    """Say what is done to audio."""
    from sibboleth.models.encoders import WINDOW

    told = getattr(encoder, "preprocessor", {})
    return {"rate": encoder.rate, "channels": "averaged", "longest_window": WINDOW, "extractor": dict(told)}


def _stage(material: Material, final: "Final", number: int) -> dict[str, Any]:
    stage, best = final.stages[number], final.chosen[number]
    chosen = next(one for one in best.log if one.epoch == best.epoch)
    speakers = material.table["speaker"]
    return {
        "domain": stage.domain,
        "utterances": len(stage.train),
        "speakers": speakers.gather(stage.train).n_unique(),
        "hours": float(final.inputs.seconds[stage.train].sum()) / 3600,
        "dev_utterances": len(stage.dev),
        "dev_speakers": speakers.gather(stage.dev).n_unique(),
        "epochs": len(best.log),
        "epoch": best.epoch,
        "learning_rate": best.rate,
        "dev_loss": _finite(chosen.dev_loss),
        "dev": _finite(chosen.dev),
    }


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _corpora(material: Material) -> list[dict[str, Any]]:
    """List the corpora that are among what was trained on."""
    used = set(material.table["corpus"])
    return [
        {
            "name": one.name,
            "digest": one.digest,
            "synthetic": "synthetic" in one.table.columns and bool(one.table["synthetic"].is_not_null().any()),
        }
        for one in material.corpora
        if one.name in used
    ]


def _published(study: Study) -> dict[str, Any]:
    """Return the study's settings without the places of files on this machine."""
    told = study.model_dump(mode="json")
    for one in told["corpora"]:
        one["manifest"] = Path(one["manifest"]).name
    if told["splits"]["file"] is not None:
        told["splits"]["file"] = Path(told["splits"]["file"]).name
    return told


SCORES = {
    "regime": pl.String,
    "domain": pl.String,
    "metric": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "utterances": pl.Int64,
    "speakers": pl.Int64,
}


def crossvalidated(
    directory: RunDirectory, material: Material, work: TunedWork, stages: Sequence[Stage]
) -> tuple[pl.DataFrame, str | None]:
    """Return what a study's run measured of the same encoder, method and source, and why that is nothing.

    These are the regimes that select as the model does: within and zero-shot, and two-stage for two stages.
    """
    nothing = pl.DataFrame(schema=SCORES)
    try:
        facts, cells, scores = directory.read(), directory.table("cells"), directory.table("scores")
    except SibbolethError as error:
        return nothing, str(error)
    if other := _differs(facts, material.study, work):
        return nothing, f"{directory.path}: is a run with another {other}; run the study again"
    regimes = ["within", "zero-shot"] if len(stages) == 1 else ["two-stage"]
    asked = cells.filter(
        pl.col("encoder") == work.encoder.name,
        pl.col("method") == work.tuning.method.name,
        pl.col("source") == stages[0].domain,
        pl.col("regime").is_in(regimes),
        pl.col("tuned"),
        pl.lit(len(stages) == 1) | (pl.col("domain") == stages[-1].domain),
    )
    shown = ["wer", "cer"] if material.alphabet is not None else [facts["main_metric"]]
    main = scores.filter(pl.col("metric").is_in(shown), slice="all", rater="selected")
    found = main.join(asked.select("run", "regime", "domain"), on="run")
    if found.is_empty():
        return nothing, f"{directory.path}: has no scores of {work.name} trained on {stages[0].domain}"
    renamed = found.rename({"n": "utterances", "clusters": "speakers"}).select(
        pl.col(name).cast(kind) for name, kind in SCORES.items()
    )
    missing = [pl.col(name).fill_nan(None) for name in ("estimate", "low", "high")]
    order = pl.col("metric") != facts["main_metric"]
    return renamed.with_columns(missing).sort("regime", "domain", order, "metric"), None


def _differs(facts: dict[str, Any], study: Study, work: TunedWork) -> str | None:
    """Name what of a run is not as in this study, among what decides its scores."""
    then, now = facts.get("study", {}), study.model_dump(mode="json")
    identities = {one["name"]: one["identity"] for one in facts.get("encoders", [])}
    if identities.get(work.encoder.name) != work.encoder.identity:
        return "encoder"
    name = work.tuning.method.name
    methods = [next((one for one in told.get("methods", []) if one["name"] == name), None) for told in (then, now)]
    if methods[0] != methods[1]:
        return "method"
    groups = ("target", "training", "seed", "domain", "corpora")
    return next((group for group in groups if then.get(group) != now[group]), None)
