"""The whole tool on speech that it makes itself: nothing to download, nothing to prepare."""

from importlib import resources
from pathlib import Path

from sibboleth.progress import console
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.run import run
from sibboleth.runs import write_text


def demo(*, output: Path = Path("demo")) -> Path:
    """Speak two controlled corpora, run a study on each and write their reports: emotion over languages, and accents.

    Args:
        output: Folder for the speech, the study files and the runs.

    Returns:
        The path of the report on emotion; that on accents lies beside it, in `accents-run`.
    """
    console.print(f"speaking a small corpus in four languages into {output / 'speech'}")
    prepare("synthetic", output / "speech")
    page = run(_study(output, "study", "demo"), output=output / "run")
    console.print(f"speaking Dutch with French, German and English phones into {output / 'accents'}")
    prepare("synthetic-accents", output / "accents")
    other = run(_study(output, "accents", "demo-accents"), output=output / "accents-run")
    console.print(
        f"\nThe study files are {output / 'study.toml'} and {output / 'accents.toml'}: change them and run them."
    )
    console.print(f"Does an English encoder carry to Dutch as well as a Dutch one, and for whom: {other}")
    console.print("Does emotion carry from language to language:")
    return page


def _study(output: Path, name: str, template: str) -> Path:
    """Write a study file of the demo, unless there is one, which may have been changed."""
    study = output / f"{name}.toml"
    if not study.exists():
        text = resources.files("sibboleth.recipes").joinpath(f"{template}.toml").read_text(encoding="utf-8")
        write_text(study, text)
    return study
