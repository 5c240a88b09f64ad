"""Audit: leaks and confounds, found before anything is trained.

A check is a function from `Evidence` to a `Finding` or None. It is named like its finding and stands in `CHECKS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from sibboleth.audit import (
    channel,
    confounds,
    copies,
    coverage,
    leaks,
    names,
    pretraining,
    sentences,
    shares,
    sources,
)
from sibboleth.audit.finding import GRADES, SHOWN, Evidence, Finding, Grade, some
from sibboleth.errors import InvalidInput, RefusedByAudit
from sibboleth.splits import Fit, ImpossiblePair, Rows, ScarceLabel
from sibboleth.targets import Target

__all__ = ["CHECKS", "GRADES", "NAMES", "SHOWN", "Evidence", "Finding", "Grade", "audit", "refuse"]

CHECKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    leaks.shared_utterances,
    leaks.shared_speakers,
    leaks.shared_sessions,
    leaks.identical_audio,
    copies.near_duplicate_audio,
    copies.overlapping_segments,
    sources.shared_sources,
    copies.heard_listening_items,
    names.alike_labels,
    names.alike_speakers,
    confounds.label_speaker_confound,
    confounds.one_class_domain,
    leaks.dev_shares_speakers,
    leaks.no_dev,
    leaks.repeated_test,
    copies.near_duplicate_test,
    sentences.shared_sentences,
    leaks.target_labels_select,
    leaks.target_labels_train,
    confounds.one_speaker_domain,
    confounds.few_clusters,
    confounds.unknown_speakers,
    names.lone_utterances,
    confounds.label_follows_speaker,
    confounds.different_labels,
    shares.label_domain_confound,
    shares.label_metadata_confound,
    channel.label_channel_confound,
    channel.domain_channel_confound,
    shares.class_imbalance,
    shares.label_shift,
    coverage.impossible_pair,
    coverage.missing_class,
    coverage.duplicate_audio,
    coverage.contradicting_labels,
    coverage.excluded_audio,
    coverage.segments_beyond_audio,
    pretraining.labelled_encoder,
    pretraining.encoder_heard_test_corpus,
    pretraining.unknown_encoder,
    channel.simple_cue,
    coverage.too_few_shots,
    coverage.unasked_utterances,
    coverage.unused_utterances,
    coverage.listening_items,
)
NAMES = tuple(check.__name__.replace("_", "-") for check in CHECKS)
"""Names of all findings there can be."""


def audit(
    table: pl.DataFrame,
    fits: Sequence[Fit],
    *,
    target: Target,
    domain: str,
    scan: pl.DataFrame | None = None,
    encoders: Sequence[str] = (),
    fine_tuned: Sequence[str] = (),
    excluded: pl.DataFrame | None = None,
    impossible: Sequence[ImpossiblePair] = (),
    scarce: Sequence[ScarceLabel] = (),
    judged: Rows | None = None,
    allow: Sequence[str] = (),
) -> list[Finding]:
    """Look for leaks and confounds; errors come first.

    Args:
        table: The corpus table that the rows of `fits` point into.
        fits: Who trains, selects and tests.
        target: The column asked about.
        domain: The column whose values are compared.
        scan: What `audio.scan` found, the same rows in the same order.
        encoders: Names of the encoders.
        fine_tuned: Those of them that are known to be trained with labels; of the others the name may tell.
        excluded: Rows left out before, with columns utterance and reason.
        impossible: Pairs of domains that have no fits.
        scarce: Labels of which there are too few for some numbers of shots.
        judged: Rows that listeners judge in the study's listening test.
        allow: Errors accepted by name; they are marked as allowed.

    Raises:
        InvalidInput: `allow` names a finding that does not exist.
    """
    if unknown := [name for name in allow if name not in NAMES]:
        raise InvalidInput(f"allow: no finding is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    evidence = Evidence(
        table,
        tuple(fits),
        target,
        domain,
        scan,
        tuple(encoders),
        tuple(fine_tuned),
        excluded,
        impossible,
        scarce,
        judged,
    )
    found = [finding for check in CHECKS if (finding := check(evidence)) is not None]
    marked = [replace(f, allowed=f.grade == "error" and f.name in allow) for f in found]
    return sorted(marked, key=lambda finding: GRADES.index(finding.grade))


def refuse(findings: Sequence[Finding], lists: bool = False) -> None:
    """Raise `RefusedByAudit` if there is an error that is not allowed, naming each and what would allow it.

    That is a line of the study file, or options of the command line where split lists are audited.
    """
    errors = [finding for finding in findings if finding.grade == "error"]
    refused = [finding for finding in errors if not finding.allowed]
    if not refused:
        return
    told = []
    for finding in refused:
        which = f" ({some(finding.utterances, 3)})" if finding.utterances else ""
        told.append(f"  {finding.name}: {finding.message}{which}\n    {finding.effect}")
    names = ", ".join(f'"{finding.name}"' for finding in errors)
    way = f"add this line at the top of the study file; the findings stay in the report:\n  allow = [{names}]"
    if lists:
        way = "accept them by name:\n  " + " ".join(f"--allow {finding.name}" for finding in errors)
    raise RefusedByAudit(
        f"the audit found {len(refused)} error{'s' * (len(refused) > 1)}:\n"
        + "\n".join(told)
        + f"\nMend the material or the splits. To go on nevertheless, {way}"
    )
