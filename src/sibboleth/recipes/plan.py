"""`sibboleth plan`: what a study would do, without doing it."""

import importlib.util
from pathlib import Path

from sibboleth import study as studies
from sibboleth.errors import SibbolethError
from sibboleth.experiment import aligning, material, transcripts, tuned, tuned_plan
from sibboleth.experiment import plan as planning
from sibboleth.experiment.planned import Plan
from sibboleth.progress import console
from sibboleth.recipes import check
from sibboleth.runs import RunDirectory


def plan(
    study: Path, *, output: Path | None = None, without_audio: bool = False, workers: int = 1, trust: bool = False
) -> Plan:
    """Read and audit a study, and tell its cells, passes, hours, disk, memory and time; nothing of it is done.

    Args:
        study: The study file (TOML).
        output: Run directory whose finished cells do not count; `runs/NAME` where not given. Nothing is written there.
        without_audio: Look at no audio file: durations come from the manifests, and no time is estimated.
        workers: Also tell the time with so many workers, each with as many threads as this process (OMP_NUM_THREADS).
        trust: Run the Python functions that the study names, to plan with them; else only their passes are counted.

    Returns:
        The plan. Raises `InvalidInput` for a study or manifest that cannot be used, and `RefusedByAudit` for a leak
        that the study does not allow by name.
    """
    asked = studies.read(study)
    if workers < 1:
        raise SibbolethError(f"--workers {workers}: give 1 or more")
    if not asked.encoders:
        raise SibbolethError(f"{study}: a plan needs at least one [[encoders]]; `sibboleth check` needs none")
    from sibboleth.models import encoders as loading
    from sibboleth.models.cache import Cache

    directory = RunDirectory(output or Path("runs") / asked.name)
    directory.require_writable()
    stuff = material.gather(asked, without_audio=without_audio)
    aligning.require(stuff)
    fits = check.fits(stuff)
    stuff = transcripts.lettered(stuff, fits)
    trusted = [one for one in asked.encoders if trust or not one.name.startswith(studies.CODE)]
    here = [settings for settings in trusted if _is_here(settings.name)]
    encoders = [loading.load(settings) for settings in here]
    console.print(check.audited(stuff, fits, encoders), soft_wrap=False)
    both = list(zip(here, encoders, strict=True))
    work = [planning.work(asked, *pair, fits) for pair in both] if planning.pools(asked) else []
    absent = [settings.name for settings in asked.encoders if settings not in here]
    cache = Cache()
    tuning = [one for pair in both for one in tuned.works(asked, *pair, fits, stuff.out, stuff.background)]
    more = tuned_plan.lines(stuff, tuning, cache, directory, probed=bool(work))
    return planning.of(stuff, work, cache, directory, fits, absent, more, workers)


def _is_here(name: str) -> bool:
    """Say whether an encoder can be made without fetching a checkpoint; where it cannot be at all, loading it tells."""
    repository, _, revision = name.partition("@")
    if name == "logmel" or name.startswith(("untrained:", "python:")) or repository.count("/") != 1:
        return True
    if Path(name).expanduser().is_dir():
        return True
    from sibboleth.models.encoders import hub

    if not importlib.util.find_spec("huggingface_hub"):
        return True
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, "config.json", revision=revision or None)
    except errors.HFValidationError:
        return True
    return isinstance(found, str) and bool(hub.weights(Path(found).parent))
