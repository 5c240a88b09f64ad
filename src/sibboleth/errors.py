"""What can go wrong for a user, said so that it can be mended.

Every error raised on purpose is a `SibbolethError`; the command line prints its text without a traceback and
exits with its `exit_code`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 20


class SibbolethError(Exception):
    """Something the user can mend; the text says what, where and how."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one place of a file."""

    file: str
    message: str
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        """Write the place before the message, as compilers do."""
        place = self.file if self.row is None else f"{self.file}:{self.row}"
        field = "" if self.field is None else f" [{self.field}]"
        return f"{place}:{field} {self.message}"


class InvalidInput(SibbolethError):
    """A file that cannot be used, with every problem found in it at once."""

    def __init__(self, summary: str, problems: Sequence[Problem] = ()) -> None:
        """Keep all problems; show the first `SHOWN` of them."""
        self.summary = summary
        self.problems = tuple(problems)
        lines = [summary, *(f"  {problem}" for problem in self.problems[:SHOWN])]
        if len(self.problems) > SHOWN:
            lines.append(f"  ... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join(lines))


class MissingExtra(SibbolethError):
    """An optional part that is not installed, with its install line."""

    def __init__(self, needed_for: str, extra: str) -> None:
        """Name what needs the extra and how to install it."""
        super().__init__(f"{needed_for} needs an optional part. Install it: pip install 'sibboleth[{extra}]'")


class CannotWrite(SibbolethError):
    """A disk that is full or not ours to write on; it concerns all work, so that all of it stops."""


class RefusedByAudit(SibbolethError):
    """A run stopped because the audit found an error that the study does not allow by name."""

    exit_code = 1


class CellsFailed(SibbolethError):
    """A run some of whose cells failed; the others are done, and the report is of them."""

    exit_code = 1
