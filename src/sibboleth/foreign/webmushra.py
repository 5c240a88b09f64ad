"""Answers of people from webMUSHRA's results: `mushra.csv`, and `lss.csv` and `lms.csv` of its Likert scales.

Columns: `session_test_id`, one per question of the final page (email, age, ...), `session_uuid` (in some versions and
files), `trial_id` (the page), and then `rating_stimulus, rating_score, rating_time, rating_comment`, or
`stimuli_rating` (several are numbered from 1), `stimuli, rating_time`. Stimuli are called as in the test's
configuration, so a recording is looked for by `page/stimulus`, the stimulus and, of a page with one, the page.

Source: `service/write.php` of https://github.com/audiolabs/webMUSHRA.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sibboleth.errors import InvalidInput
from sibboleth.foreign import answers, outputs
from sibboleth.foreign.answers import Answer, Asked, Found
from sibboleth.foreign.outputs import File

HIDDEN = ("reference", "anchor35", "anchor70")
"""Stimuli that webMUSHRA adds to every page: the hidden reference and its filtered copies."""
OTHERS = {
    "choice_answer": "a paired comparison says which of two is better, not what one is",
    "rating_non_reference_score": "a BS.1116 rating is of a recording beside its reference",
    "position_x": "a position is no answer about what is said",
    "position_outerRight_x": "a position is no answer about what is said",
    "position_center_x": "a position is no answer about what is said",
}
"""Columns of the other results, and why they are left out."""
_RATING = re.compile(r"rating_score|stimuli_rating\d*")


def read(path: Path, asked: Asked) -> Found:
    """Read one of the results; what compares two recordings is left out, with the reason."""
    file = outputs.open_file(path)
    found = Found(path)
    there = set(file.frame.columns)
    for column, reason in OTHERS.items():
        if column in there:
            found.left_out[reason] += len(file.frame)
            return found
    ratings = [name for name in file.frame.columns if _RATING.fullmatch(name)]
    stimulus = file.find(["rating_stimulus", "stimuli"])
    if not ratings or stimulus is None or "trial_id" not in there:
        raise InvalidInput(f"{path}: not among webMUSHRA's results mushra.csv, lss.csv and lms.csv")
    people = _people(file, asked, found)
    alone = _alone(file)
    for index, row in enumerate(file.frame.iter_rows(named=True)):
        name, page = row[stimulus] or "", row["trial_id"] or ""
        for column in ratings:
            said = row[column]
            if name in HIDDEN:
                found.left_out["hidden references and anchors"] += 1
            elif said in (None, "NA"):
                found.left_out["no answer given"] += 1
            elif people[index] is None:
                found.left_out["nobody is named"] += 1
            else:
                value = answers.number(said)
                found.answers.append(
                    Answer(
                        audio=(f"{page}/{name}", name, *([page] if page in alone else [])),
                        rater=people[index] or "",
                        question=column if len(ratings) > 1 else "rating",
                        said={said: 1.0} if value is None else value,
                        row=file.rows[index],
                    )
                )
    return found


def _people(file: File, asked: Asked, found: Found) -> list[str | None]:
    """Tell people apart: by the column named, by their session, else by all that they were asked about themselves."""
    if asked.rater is not None:
        return file.column(asked.rater, "people").to_list()
    if "session_uuid" in file.frame.columns:
        return file.frame["session_uuid"].to_list()
    columns = list(_questionnaire(file))
    if not columns:
        raise InvalidInput(f"{file.path}: no column tells listeners apart; ask for a name in the test's final page")
    found.notes.append(f"{file.path.name}: people are told apart by {', '.join(columns)} alone")
    rows = file.frame.select(columns).iter_rows()
    return [" | ".join(one or "" for one in row) if any(row) else None for row in rows]


def _questionnaire(file: File) -> Iterator[str]:
    for column in file.frame.columns[1:]:
        if column == "trial_id":
            return
        yield column


def _alone(file: File) -> set[str]:
    """Return the pages with one stimulus."""
    stimuli: dict[str, set[str]] = {}
    column = file.find(["rating_stimulus", "stimuli"]) or ""
    for page, stimulus in file.frame.select("trial_id", column).iter_rows():
        stimuli.setdefault(page or "", set()).add(stimulus)
    return {page for page, several in stimuli.items() if page and len(several) == 1}
