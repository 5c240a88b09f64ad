"""Write a run's report, the curve of a pre-training, or the page of a reproduction, again from its tables."""

from pathlib import Path
from typing import Literal

from sibboleth.errors import SibbolethError
from sibboleth.recipes import curve
from sibboleth.runs import RunDirectory


def report(
    run: Path,
    *,
    audio: Literal["link", "embed", "none"] | None = None,
    examples: int | None = None,
    title: str | None = None,
) -> Path:
    """Write report.html, figures/ and tables/ of a run directory again; nothing is computed anew.

    Of a pre-training it writes the page with the curves, of a reproduction the one over its studies.

    Args:
        run: The run directory, or the folder of a pre-training or a reproduction.
        audio: Players for the utterances most often wrong: linked, embedded (mind the corpus's licence), or none.
            As the study says where not given.
        examples: How many utterances are shown; as the study says where not given.
        title: Heading of the page; the study's title or question where not given.

    Returns:
        The path of the page. Raises `SibbolethError` where the run has no scores yet, or `examples` is negative.
    """
    if examples is not None and examples < 0:
        raise SibbolethError(f"examples is {examples}: give how many utterances are to be shown, 0 for none")
    directory = RunDirectory(run)
    record = directory.read()
    directory.sweep()
    if record.get("kind") == "pretraining":
        return curve.draw(directory, record, title=title)
    from sibboleth.report import anchor, page

    if record.get("kind") == "reproduction":
        return anchor.write(directory)

    return page.write(run, audio=audio, most_examples=examples, title=title)
