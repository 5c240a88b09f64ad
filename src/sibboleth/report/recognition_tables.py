"""The tables of whom recognisers err for: groups of speakers, gaps, matched pairs, lost words."""

from collections.abc import Sequence
from itertools import accumulate

import polars as pl

from sibboleth.report import wording
from sibboleth.report.recognition import Row, Whom, parted
from sibboleth.report.results import Results
from sibboleth.report.tables import Part, Table, table

ENDS = ("estimate", "low", "high")
MOST_WORDS = 5
"""Lost words on the page, of each group and system; the written table has all."""


def by_group(results: Results) -> Table:
    """WER of each group of speakers, its ratio to the best group's, and its kinds of errors."""
    whom = Whom(results)
    rows = [
        (
            row["column"],
            row["group"],
            *whom.named(row["run"]),
            wording.estimate(row.get("wer"), row.get("wer_low"), row.get("wer_high")),
            *_against_the_best(row),
            " / ".join(_of_100(row, kind) for kind in ("substitutions", "deletions", "insertions")),
            f"{row['length']:,}",
            f"{row['clusters']:,}",
        )
        for row in whom.groups
    ]
    head = (
        *("Column", "Group", wording.capital(results.unit), "Regime, trained and tested", "WER"),
        *("To the best, bootstrap", "To the best, regression", "p (Holm)"),
        *("Sub / del / ins of 100 words", "Words", "Speakers"),
    )
    ends = list(accumulate(sum(row[0] == column for row in rows) for column in dict.fromkeys(row[0] for row in rows)))
    parts = [
        Part(f"WER by {rows[first][0]}, with {results.confidence:.0%} intervals over speakers", first, last)
        for first, last in zip([0, *ends], ends, strict=False)
    ]
    names = ("run", "column", "group", "length", "substitutions", "deletions", "insertions", "n", "clusters")
    more = [f"{name}{end}" for name in ("wer", "resampled", "ratio") for end in ("", "_low", "_high")]
    return table(
        "errors-by-group",
        "WER by group of speakers, its ratio to the best group's, and the kinds of errors",
        "counts.parquet, rate-ratios.parquet; scores.parquet and group-scores.parquet: metrics wer, wer_ratio",
        head,
        rows,
        numeric=range(4, len(head)),
        numbers=_numbers(whom.groups, (*names, *more, "against", "p", "p_holm")),
        shown=16,
        begin=1,
        parts=parts,
    )


def _numbers(rows: Sequence[Row], names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame([[row.get(name) for name in names] for row in rows], schema=list(names), orient="row")


def _against_the_best(row: Row) -> tuple[str, str, str]:
    if "ratio" not in row:
        return "best", "best", ""
    return (
        wording.estimate(row.get("resampled"), row.get("resampled_low"), row.get("resampled_high")),
        wording.estimate(row["ratio"], row["ratio_low"], row["ratio_high"]),
        wording.p_value(row["p_holm"]),
    )


def _of_100(row: Row, kind: str) -> str:
    return wording.number(100 * row[kind] / row["length"], 0) if row["length"] else wording.MISSING


def gaps(results: Results) -> Table:
    """Mean over groups, and how far the worst lies behind the best."""
    whom = Whom(results)
    shown = {(row["run"], row["column"]) for row in whom.groups}
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in whom.scores.filter(pl.col("metric").is_in(["wer_mean", "wer_gap"])).to_dicts():
        found.setdefault((row["run"], row["slice"].partition("=")[0]), {})[row["metric"]] = row
    rows, numbers = [], []
    for (run, column), both in sorted(found.items(), key=lambda one: (one[0][1], whom.place(one[0][0]))):
        if (run, column) in shown and len(both) == 2:
            worst, best = parted(both["wer_gap"]["slice"])[1]
            mean, gap = (tuple(both[name][end] for end in ENDS) for name in ("wer_mean", "wer_gap"))
            rows.append((column, *whom.named(run), wording.estimate(*mean), wording.estimate(*gap), worst, best))
            numbers.append((run, column, *mean, *gap, worst, best))
    head = ("Column", wording.capital(results.unit), "Regime, trained and tested", "Mean", "Gap", "Worst", "Best")
    columns = ["run", "column", *(f"{name}_{end}" for name in ("mean", "gap") for end in ENDS), "worst", "best"]
    return table(
        "group-gaps",
        f"Mean WER over groups, and gap from the worst to the best, with {results.confidence:.0%} intervals",
        "scores.parquet and group-scores.parquet: metrics wer_mean, wer_gap",
        head,
        rows,
        numeric=(3, 4),
        numbers=pl.DataFrame(numbers, schema=columns, orient="row"),
    )


def matched(results: Results) -> Table:
    """Systems compared over segments of speech."""
    whom, found = Whom(results), Whom(results).read("matched-pairs")
    rows = []
    if len(found):
        found = found.sort("family", "p_holm", "p", nulls_last=True, maintain_order=True)
    for row in found.to_dicts():
        (a, where), (b, _) = whom.named(row["a_run"]), whom.named(row["b_run"])
        numbers = (wording.number(row["mean"], 3), wording.number(row["z"]))
        p = (wording.p_value(row["p"]), wording.p_value(row["p_holm"]))
        rows.append((row["slice"], where, a, b, *numbers, *p, f"{row['segments']:,}"))
    head = (
        "Slice",
        "Regime, trained and tested",
        "A",
        "B",
        "Errors A \N{MINUS SIGN} B",
        "z",
        "p",
        "p (Holm)",
        "Segments",
    )
    return table(
        "matched-pairs",
        "Matched pairs (MAPSSWE): errors per segment of speech, p corrected by Holm within a family",
        "matched-pairs.parquet",
        head,
        rows,
        numeric=range(4, len(head)),
        numbers=found,
        shown=6,
    )


def lost_words(results: Results) -> Table:
    """Words that a group loses more often than the others, by the lower limit."""
    whom, found = Whom(results), Whom(results).read("words")
    rows = []
    if len(found):
        more = found.filter(pl.col("difference") > 0)
        first = more.group_by("run", "column", "group", maintain_order=True).head(MOST_WORDS).to_dicts()
        for row in sorted(first, key=lambda row: (row["column"], whom.place(row["run"]), row["group"])):
            heard = f"{row['heard']} ({row['heard_count']})" if row["heard"] else ""
            rows.append(
                (
                    f"{row['column']}: {row['group']}",
                    *whom.named(row["run"]),
                    row["word"],
                    f"{row['lost']:,} of {row['said']:,}",
                    f"{row['others_lost']:,} of {row['others_said']:,}",
                    wording.estimate(row["difference"], row["low"], row["high"]),
                    wording.p_value(row["p_holm"]),
                    heard,
                )
            )
    system = wording.capital(results.unit)
    head = (
        "Group",
        system,
        "Regime, trained and tested",
        "Word",
        "Lost",
        "By others",
        "Difference",
        "p (Holm)",
        "Heard",
    )
    return table(
        "lost-words",
        f"Words that a group loses more often than the others: at most {MOST_WORDS} of each, by the lower limit",
        "words.parquet",
        head,
        rows,
        numeric=(4, 5, 6, 7),
        numbers=found,
    )
