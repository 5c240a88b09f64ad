"""Alignment: ways to bring domains together without a label of the target, tried beside the plain probe."""

from typing import Annotated

from pydantic import AfterValidator

Z_NORM = "z-norm"
SPEAKER_Z_NORM = "z-norm:speaker"
CORAL = "coral"
LOGIT_ADJUSTMENT = "logit-adjustment"
ERASE = "erase:"
NAMES = (Z_NORM, SPEAKER_Z_NORM, CORAL, LOGIT_ADJUSTMENT)

EXPLAINED = {
    Z_NORM: "features have mean 0 and deviation 1 in each domain",
    SPEAKER_Z_NORM: "features have mean 0 and deviation 1 for each speaker of a domain",
    CORAL: "features of the source are given the mean and the covariance of those of the target (Sun et al. 2016)",
    LOGIT_ADJUSTMENT: "answers are corrected for the target's shares of labels, which are estimated from the answers "
    "themselves (Saerens et al. 2002)",
}


def erased(name: str) -> str | None:
    """Return the column whose values an alignment erases, none for one that erases nothing."""
    return name.removeprefix(ERASE) if name.startswith(ERASE) else None


def changes_home(name: str) -> bool:
    """Say whether an alignment makes other features of one domain alone, so that within is trained on them, too."""
    return name not in (CORAL, LOGIT_ADJUSTMENT)


def explained(name: str) -> str:
    """Say in half a sentence what an alignment does."""
    column = erased(name)
    if column is None:
        return EXPLAINED[name]
    return f"what a linear probe could tell of {column} is erased, and as little else as can be (Belrose et al. 2023)"


def _known(name: str) -> str:
    if name not in NAMES and not erased(name):
        raise ValueError(f"no such alignment; there are {', '.join(NAMES)} and {ERASE}COLUMN, such as {ERASE}speaker")
    return name


Alignment = Annotated[str, AfterValidator(_known)]
"""The name of one, as a study gives it."""
