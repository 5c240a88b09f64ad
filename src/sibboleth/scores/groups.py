"""Groups: several raters, such as the listeners of a test, scored as one, with the raters resampled too."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from sibboleth.errors import SibbolethError
from sibboleth.scores.slices import Codes

Name = tuple[str, str]
"""Run and rater."""
Groups = Mapping[Name, Sequence[Name]]
"""Run and rater by which a group goes in the tables, and its members; people who have another name are others."""


def people(group: Sequence[Name]) -> list[str]:
    """Name the people of a group: its members' raters, so that one person may answer in several runs."""
    return sorted({rater for _, rater in group})


def members(keys: pl.DataFrame, groups: Groups) -> dict[Name, tuple[Codes, Codes]]:
    """Find the rows of each group's answers, and which of its `people` gave each; raises where a name is taken."""
    named = keys.select("run", "rater").with_row_index("row")
    taken = set(named.select("run", "rater").unique().iter_rows())
    found = {}
    for name, group in sorted(groups.items()):
        if name in taken:
            raise SibbolethError(f"rater {name[1]!r} of run {name[0]!r} is no name for a group: a rater has it")
        wanted = pl.DataFrame(list(group), schema={"run": pl.String, "rater": pl.String}, orient="row").unique()
        rows = named.join(wanted, on=["run", "rater"], how="semi", maintain_order="left")
        who = pl.Enum(people(group))
        codes = rows["rater"].cast(who).to_physical().cast(pl.Int64).to_numpy()
        found[name] = (rows["row"].cast(pl.Int64).to_numpy(), np.asarray(codes, dtype=np.int64))
    return found
