"""The whole tool on speech that it makes itself: nothing to download, nothing to prepare."""

from importlib import resources
from pathlib import Path

from sibboleth.progress import console
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.run import run
from sibboleth.runs import write_text


def demo(*, output: Path = Path("demo")) -> Path:
    """Speak a controlled corpus in four languages, run a study on it and write the report.

    Args:
        output: Folder for the speech, the study file and the run.

    Returns:
        The path of the report.
    """
    console.print(f"speaking a small corpus in four languages into {output / 'speech'}")
    prepare("synthetic", output / "speech")
    study = output / "study.toml"
    if not study.exists():
        write_text(study, resources.files("sibboleth.recipes").joinpath("demo.toml").read_text(encoding="utf-8"))
    page = run(study, output=output / "run")
    console.print(f"\nThe study file is {study}: change it and run it. The report is")
    return page
