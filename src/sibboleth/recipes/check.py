"""Audit a study, or anybody's split lists, for leaks and confounds."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sibboleth import audio, budgets, lists, splits
from sibboleth import study as studies
from sibboleth.audit import GRADES, Finding, audit, refuse
from sibboleth.errors import InvalidInput, Problem
from sibboleth.experiment import listeners, listening, material
from sibboleth.experiment.material import Material
from sibboleth.progress import console
from sibboleth.splits import Fit, Fits, Test
from sibboleth.study import Study
from sibboleth.targets import Target

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder

COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
SHOWN = 3
"""Utterances that the terminal shows of a finding."""
UNHEARD = (
    "Not checked, because the audio was not looked at: whether the files are there and can be read; identical and "
    "nearly identical recordings; silence, truncation, clipping; whether level, rate or duration tells the label."
)


class Findings(list[Finding]):
    """What the audit found; it prints well."""

    def __init__(self, findings: Iterable[Finding] = (), unchecked: str | None = None) -> None:
        """Keep the findings, and say what could not be looked at."""
        super().__init__(findings)
        self.unchecked = unchecked

    def __rich__(self) -> RenderableType:
        """Show grade, name, message, effect and the first utterances of each finding, and what was not checked."""
        limits = [] if self.unchecked is None else [Text(), Text(self.unchecked, style="bold")]
        if not self:
            return Group(Text("The audit found nothing.", style="bold green"), *limits)
        counts = [(grade, sum(finding.grade == grade for finding in self)) for grade in GRADES]
        told = ", ".join(f"{count} {grade}{'s' * (count != 1)}" for grade, count in counts if count)
        shown = (_shown(finding) for finding in self)
        return Group(Text(f"The audit found {told}.", style="bold"), *shown, *limits)


def check(
    source: Path, *, speaker: str | None = None, allow: tuple[str, ...] = (), without_audio: bool = False
) -> Findings:
    """Audit a study file, or split lists made by anybody, before anything is trained.

    Args:
        source: A study file (.toml), or split lists: one CSV, TSV or JSONL file with the columns utterance (or file)
            and part, or a folder such as train.csv, dev.csv, test.csv; see `lists.read`.
        speaker: For lists without a column speaker: regular expression that finds the speaker in a file's name, or,
            with a `/` in it, in its path.
        allow: Errors to accept by name, besides those that the study allows.
        without_audio: Look at no audio file, only at what the manifests or lists say; what that leaves open is told.

    Returns:
        What was found. Raises `RefusedByAudit`, after showing it, for an error that is not allowed.
    """
    if source.suffix.lower() == ".toml":
        study = studies.read(source)
        study = study.model_copy(update={"allow": (*study.allow, *allow)})
        stuff = material.gather(study, without_audio=without_audio)
        listeners.gather(stuff)  # ratings that cannot be used are an error before a run
        return audited(stuff, fits(stuff))
    table, listed = of_lists(source, lists.read(source, speaker))
    target = Target(name="label", kind="classification" if table["label"].null_count() == 0 else "transcription")
    scan = None if without_audio else _scan(table, source)
    findings = audit(table, listed, target=target, domain="corpus", scan=scan, allow=allow)
    return _judged(findings, UNHEARD if without_audio else None, lists=True)


def fits(stuff: Material) -> Fits:
    """List the training problems of a study, and the pairs of domains that have none."""
    study = stuff.study
    listed = study.splits.scheme == "file"
    known = [f"{corpus.name}/{name}" for corpus in stuff.corpora if listed for name in corpus.table["utterance"]]
    table = material.splittable(stuff)
    folds = splits.folds(table, study.domain, stuff.target.name, study.splits, study.seed, known)
    folds = listening.withheld(folds, listening.judged(stuff))
    found = splits.fits(
        folds,
        study.regimes,
        table,
        target=stuff.target.name,
        shots=study.shots,
        draws=study.seeds,
        seed=study.seed,
    )
    return budgets.budgeted(found, table, stuff.scan["seconds"], study.splits.seconds, study.seed)


def audited(stuff: Material, fits: Fits, encoders: "Sequence[Encoder]" = ()) -> Findings:
    """Audit a study; `encoders`, where they are loaded, know more than their names.

    Raises `RefusedByAudit`, after showing everything, for an error that the study does not allow.
    """
    study: Study = stuff.study
    findings = audit(
        stuff.table,
        fits,
        target=stuff.target,
        domain=study.domain,
        scan=stuff.scan if stuff.heard else None,
        encoders=[encoder.name for encoder in study.encoders],
        fine_tuned=[encoder.name for encoder in encoders if encoder.fine_tuned],
        excluded=stuff.excluded,
        impossible=fits.impossible,
        scarce=fits.scarce,
        judged=listening.judged(stuff),
        allow=study.allow,
    )
    return _judged(findings, None if stuff.heard else UNHEARD)


def _judged(findings: Iterable[Finding], unchecked: str | None, lists: bool = False) -> Findings:
    found = Findings(findings, unchecked)
    try:
        refuse(found, lists)
    except Exception:
        console.print(found, soft_wrap=False)
        raise
    return found


def _shown(finding: Finding) -> RenderableType:
    head = Text.assemble((finding.grade, COLOURS[finding.grade]), "  ", (finding.name, "bold"))
    if finding.allowed:
        head.append("  (allowed)", style="dim")
    lines = [Text(finding.message), Text(finding.effect, style="italic")]
    if finding.utterances:
        more = f" and {finding.count - SHOWN} more" if finding.count > SHOWN else ""
        lines.append(Text(f"{', '.join(finding.utterances[:SHOWN])}{more}", style="dim"))
    return Group(Text(), head, *(Padding(line, (0, 0, 0, 4)) for line in lines))


def of_lists(path: Path, table: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Fit, ...]]:
    """Turn split lists into one row per utterance and one fit per fold."""
    several = table["corpus"].n_unique() > 1
    name = pl.col("corpus").fill_null(path.stem)
    table = table.with_columns(
        corpus=name, utterance=pl.concat_str(name, "utterance", separator="/") if several else "utterance"
    )
    _require_one_value(path, table)
    utterances = table.unique("utterance", keep="first", maintain_order=True).sort("utterance").drop("part", "fold")
    placed = table.join(utterances.select("utterance").with_row_index("position"), on="utterance", how="left")
    made = []
    for (corpus, fold), rows in placed.group_by("corpus", "fold", maintain_order=True):
        train, dev, test = (
            rows.filter(part=part)["position"].cast(pl.Int64).unique().sort().to_numpy() for part in lists.ORDER
        )
        made.append(Fit(str(corpus), str(fold), train, dev, (Test("within", str(corpus), test),)))
    return utterances, tuple(sorted(made, key=lambda fit: (fit.source, fit.fold)))


def _require_one_value(path: Path, table: pl.DataFrame) -> None:
    """Refuse lists in which an utterance has several speakers or sessions."""
    problems = []
    for field in ("speaker", "session"):
        values = pl.col(field).drop_nulls().unique().sort()
        told = table.group_by("utterance").agg(values.str.join(" and ").alias("values"), values.len().alias("count"))
        for utterance, several, _ in told.filter(pl.col("count") > 1).sort("utterance").rows():
            problems.append(Problem(str(path), f"utterance {utterance} has the {field}s {several}", field=field))
    if problems:
        raise InvalidInput(f"{path}: the split lists contradict each other", problems)


def _scan(table: pl.DataFrame, path: Path) -> pl.DataFrame | None:
    """Scan the audio that the lists name, where it is there: absolute, or beside the lists."""
    folder = path if path.is_dir() else path.parent
    places = [None if name is None else folder / name for name in table["audio"]]
    if not any(place is not None and place.is_file() for place in places):
        return None
    found = table.select(
        "utterance",
        pl.Series("audio", [str(place or "") for place in places]),
        pl.lit(None, pl.Float64).alias("start"),
        pl.lit(None, pl.Float64).alias("end"),
    )
    return audio.scan(found)
