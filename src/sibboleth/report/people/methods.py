"""The paragraph on listening that a paper needs: who, what, how, checked how, and scored how."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import polars as pl

from sibboleth.report import wording
from sibboleth.report.people.reading import ALL, PEOPLE, VOTES, Beside
from sibboleth.report.results import Results

FINISHED = "finished"


def _number(series: pl.Series, what: Literal["min", "median", "mean", "max"]) -> float:
    """One number of a column that has some."""
    return float(getattr(series, what)())


def written(results: Results) -> list[tuple[str, str]]:
    """Write a heading and a text for each thing that a reviewer asks; what is not known is said to be so."""
    beside = Beside(results)
    if not beside.there:
        return []
    test = results.record.get("listening_test") or None
    parts = (
        (wording.capital(beside.word), " ".join(_people(beside))),
        ("Items", " ".join(_items(beside, test))),
        ("Test", " ".join(_test(beside, test))),
        ("Checks", " ".join(_checks(beside, test))),
        ("Answers", " ".join(_answers(beside))),
        ("Models", " ".join(_models(beside, test))),
        ("Statistics", " ".join(_statistics(beside))),
    )
    return [(name, text) for name, text in parts if text]


def _span(counts: pl.Series) -> str:
    """Write 4, or 1 to 4."""
    low, high = int(_number(counts, "min")), int(_number(counts, "max"))
    return f"{low}" if low == high else f"{low} to {high}"


def _people(beside: Beside) -> Iterator[str]:
    people, said = beside.read("people"), beside.results.run.table("listeners")
    raters = said.select("run", "rater").n_unique()
    if all(place.kind == VOTES for place in beside.places(beside.results.domain)):
        yield (
            f"Votes of {'one panel' if raters == 1 else f'{raters} panels'} were counted when the corpus was made; "
            "who gave "
            "which is not known."
        )
        return
    if beside.simulated:
        yield "The listeners are simulated: a program drew their answers."
    yield f"{wording.capital(wording.count(raters, beside.one, beside.word))} answered about items of this study."
    if people.is_empty():
        yield "Nothing else is known of them: no table of listeners was named."
        return
    if (missing := raters - len(people)) > 0:
        yield f"Of {missing} nothing else is known."
    if "status" in people.columns:
        counts = Counter(people["status"].drop_nulls().to_list())
        others = "; ".join(f"{number} {name}" for name, number in sorted(counts.items()) if name != FINISHED)
        yield f"{counts[FINISHED]} finished the test" + (f" ({others})." if others else ".")
    yield from _told(people, "first_language", "First languages")
    yield from _told(people, "age", "Age")
    yield from _told(people, "gender", "Gender")
    yield from _told(people, "hearing", "Hearing")
    for column in sorted(name for name in people.columns if name.startswith("years.")):
        years = people[column].cast(pl.Float64, strict=False).fill_null(0)
        exposed = years.filter(years > 0)
        middle = f", {_number(exposed, 'median'):g} years at the median" if len(exposed) else ""
        yield f"{len(exposed)} of {len(people)} have been exposed to {column.removeprefix('years.')}{middle}."


def _told(people: pl.DataFrame, column: str, name: str) -> Iterator[str]:
    if column not in people.columns:
        return
    values = [str(value) for value in people[column].to_list() if value is not None]
    unknown = len(people) - len(values)
    if not values:
        yield f"{name}: not known."
        return
    counts = sorted(Counter(values).items(), key=lambda one: (-one[1], one[0]))
    more = f", {unknown} did not say" if unknown else ""
    yield f"{name}: {', '.join(f'{value} {number}' for value, number in counts)}{more}."


def _items(beside: Beside, test: dict[str, Any] | None) -> Iterator[str]:
    results = beside.results
    heard = results.utterances.join(
        beside.results.run.table("listeners").select("utterance").unique(), on="utterance", how="semi"
    )
    speakers = heard["speaker"].n_unique()
    yield (
        f"{wording.count(len(heard), 'item')} of {wording.count(speakers, 'speaker')} that models of this run also "
        "answered."
    )
    domain = results.domain
    if results.kind == "classification":
        for (value,), rows in heard.sort(domain).group_by(domain, maintain_order=True):
            counts = rows[results.target].value_counts().sort(results.target).rows()
            each = ", ".join(f"{label} {number}" for label, number in counts)
            own = rows.group_by("speaker").len()["len"]
            span = _span(own)
            yield f"{value}: {each}; {wording.count(rows['speaker'].n_unique(), 'speaker')} with {span} each."
    seconds = heard["seconds"].drop_nulls() if "seconds" in heard.columns else pl.Series([], dtype=pl.Float64)
    if len(seconds):
        yield (
            f"They last {_number(seconds, 'min'):.1f} to {_number(seconds, 'max'):.1f} s, "
            f"{_number(seconds, 'median'):.1f} s at the median."
        )
    for part in (test or {}).get("parts", []):
        if part["kind"] == "segments" if results.kind == "segmentation" else part["target"] == results.target:
            by = f" by {' and '.join(part['by'])}" if part["by"] else ""
            yield (
                f"Part {part['name']} of the test ({part['kind']}) drew {part['count']} per label{by}: {part['item']} "
                "items, "
                f"{part['practice']} for practice{' with feedback' if part['feedback'] else ''}, "
                f"{part['catch']} catch trials, {part['repeat']} that may come twice."
            )


def _test(beside: Beside, test: dict[str, Any] | None) -> Iterator[str]:
    if test is None:
        yield (
            "How it was taken is not known: no listening test was named, so that practice, orders and loudness "
            "cannot be told."
        )
        return
    yield (
        f"Listening test {test['name']}, version {test['version']} (a hash of everything in it), in {test['language']}."
    )
    each = f"balanced subsets of {test['per_listener']} items" if test["per_listener"] else "all items each"
    yield f"{test['forms']} orders, dealt in turn to the one that fewest have; {each}."
    level = test["level"]
    yield (
        "Loudness was left as recorded." if level is None else f"Sounds were brought to {level:g} LUFS (ITU-R BS.1770)."
    )
    plays = {part["plays"] for part in test["parts"]}
    most = max(plays)
    yield "Sounds could be played as often as wished." if most == 0 else f"Sounds could be played {most} times at most."
    if scales := sorted({scale for part in test["parts"] for scale in part["scales"]}):
        yield f"Beside each answer {wording.listing(scales)} was asked."


def _checks(beside: Beside, test: dict[str, Any] | None) -> Iterator[str]:
    people = beside.read("people")
    checks = (test or {}).get("checks") or {}
    if checks.get("loudness"):
        yield "Listeners first set the volume."
    tried = people.filter(pl.col("headphone_trials") > 0) if "headphone_trials" in people.columns else people.clear()
    if len(tried):
        needed = checks.get("headphones_needed")
        passed = (
            f", {tried.filter(pl.col('headphones_right') >= needed).height} passed with {needed} of 6" if needed else ""
        )
        middle = f"{_number(tried['headphones_right'], 'median'):g}"
        yield f"Headphone check (Woods et al. 2017): {len(tried)} took it{passed}; {middle} right at the median."
    if "catch_trials" in people.columns and (people["catch_trials"].fill_null(0) > 0).any():
        wrong, trials = (int(people[name].fill_null(0).sum()) for name in ("catch_wrong", "catch_trials"))
        allowed = checks.get("catch_allowed")
        rule = f" (more than {allowed} wrong)" if allowed is not None else ""
        failed = people.filter(pl.col("catch_failed").fill_null(False))["rater"].sort().to_list()
        who = f": {wording.listing(failed)}" if failed else ""
        yield f"Of {trials:,} catch trials {wrong:,} were answered wrongly; {len(failed)} failed{rule}{who}."
    if "excluded" in people.columns:
        yield f"{int(people['excluded'].fill_null(False).sum())} are marked as excluded."
    if beside.failed:
        yield "Everything stands here with all of them; rows without who failed are beside it in the tables."
    elif len(people) and {"catch_failed", "excluded"} & set(people.columns):
        yield "Nobody failed, so that there is one version of every number."
    else:
        yield "Whether anybody failed a check is not known."


def _answers(beside: Beside) -> Iterator[str]:
    timed = pl.col("start").is_not_null() | pl.col("end").is_not_null()
    segmented = beside.results.kind == "segmentation"
    said = beside.results.run.table("listeners").filter(timed if segmented else ~timed)
    people = beside.read("people")
    if all(place.kind == VOTES for place in beside.places(beside.results.domain)):
        each = said.group_by("utterance").agg(pl.struct("rater", "trial").n_unique())["rater"]
        yield f"{len(said):,} votes, {_span(each)} for each item."
        return
    answers = said.select("run", "rater", "utterance", "trial").n_unique()
    each = said.group_by("utterance").agg(pl.struct("run", "rater").n_unique().alias("n"))["n"]
    span = _span(each)
    yield f"{answers:,} answers; each item was answered by {span} {beside.word}."
    yield from _marked(beside, said) if segmented else _repeats(beside, said)
    if "median_reaction" in people.columns and people["median_reaction"].count():
        yield (
            f"Median reaction time {_number(people['median_reaction'], 'median'):.1f} s (median over listeners of "
            "each one's median)."
        )
    if "mean_plays" in people.columns and people["mean_plays"].count():
        yield f"A sound was played {_number(people['mean_plays'], 'mean'):.2f} times on average."


def _marked(beside: Beside, said: pl.DataFrame) -> Iterator[str]:
    """Say how many segments an answer has, and that it may be empty."""
    answer = ["run", "rater", "utterance", "trial"]
    marked = said.filter(pl.col("label").is_in(beside.results.labels)).group_by(answer).len()["len"]
    silent = said.select(answer).n_unique() - len(marked)
    if len(marked):
        yield f"An answer has {_span(marked)} segments{f'; {silent:,} have none' if silent else ''}."
    again = said.filter(pl.col("trial") > 0).select(answer).n_unique()
    if again:
        yield f"{again:,} answers were given a second time; scores pool both, the ceiling takes the first."


def _repeats(beside: Beside, said: pl.DataFrame) -> Iterator[str]:
    """Say how often the second answer to an item was the first one."""
    item = ["run", "rater", "utterance"]
    labels = said.filter(pl.col("label").is_not_null()).group_by(*item, "trial").agg(pl.col("label").sort())
    twice = labels.filter(pl.len().over(item) == 2).sort(*item, "trial")
    if twice.is_empty():
        yield "No item came twice."
        return
    pairs = twice.group_by(item).agg(same=pl.col("label").n_unique() == 1)
    each = pairs.group_by("run", "rater").agg(pl.col("same").mean())["same"].to_list()
    yield (
        f"{len(pairs):,} answers were given a second time, {_number(pairs['same'], 'mean'):.0%} of them the same "
        f"(over listeners {min(each):.0%} to {max(each):.0%}, median {statistics.median(each):.0%}). Scores pool "
        "both; agreement, "
        "ceiling and shared errors take the first."
    )


def _models(beside: Beside, test: dict[str, Any] | None) -> Iterator[str]:
    heard = beside.results.record.get("heard_by_models") or {}
    if heard:
        known, items = heard["known"], heard["items"]
        yield (
            f"No model was trained or selected on any of the {items:,} items that it answers: each item is tested by "
            "folds "
            "whose train and dev rows lack it, which was counted for every item, and the audit looked for copies of "
            "recordings."
            if not known
            else f"{known:,} of {items:,} items were in the train or dev rows of a model that answers them."
        )
    if test and test.get("withheld"):
        yield "All items of the test are also kept out of train and dev of every fold (splits.listening)."
    elif test and test.get("drawn_for_a_study"):
        yield "The test's items were drawn from what no model of a study that the test names has heard."
    if any(beside.results.record.get("encoders") or []):
        yield "What encoders heard in pre-training stands in the audit and in the table of encoders."
    several = [row for row in beside.models if row["sources"] > 1]
    if several:
        yield "Of several sources of a zero-shot model the best on everything tested stands beside people."


def _statistics(beside: Beside) -> Iterator[str]:
    results = beside.results
    resamples = wording.count(results.resamples, "resample")
    metric = wording.metric(results.metric)
    metric = metric if results.kind == "segmentation" else wording.LONG.get(results.metric, metric)
    votes = all(place.kind == VOTES for place in beside.places(results.domain))
    together = "speakers" if votes else f"speakers and {beside.word} together"
    yield (
        f"Everybody is scored with {metric} against the corpus's labels. Intervals ({results.confidence:.0%}) resample "
        f"{together} ({resamples}); models are compared with {beside.word} on the items that both answered, paired by "
        "speaker, and p is corrected by Holm."
    )
    if results.kind == "segmentation":
        yield f"The ceiling scores each {beside.one} against each of the others as the reference, all pairs added."
    if not beside.read("people-agreement").is_empty():
        yield (
            "Agreement is Krippendorff's alpha with missing answers, Fleiss' kappa, and the mean of Cohen's kappa "
            "over pairs."
        )
    if not beside.read("people-consistency").is_empty():
        yield "Error consistency is Cohen's kappa of being right (Geirhos, Meding and Wichmann 2020)."
    if not beside.read("people-effects").is_empty():
        yield "Odds ratios are of a logistic model with crossed random intercepts of listeners, items and speakers."
    scores = [beside.score(p, PEOPLE, ALL) for p in beside.places(results.domain) if p.kind != VOTES]
    if any(one is not None and not math.isfinite(one["low"]) for one in scores):
        yield "Where there are fewer than two speakers there is no interval."
    yield "Formulas, and what intervals held in simulation: docs/statistics.md."
