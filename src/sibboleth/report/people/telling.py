"""What is said of people beside models: the answer of each domain, and what must be known to read it."""

import math
from collections.abc import Iterator

from sibboleth.report import wording
from sibboleth.report.people.figures import ceiling
from sibboleth.report.people.reading import ALL, CROWD, PEOPLE, VOTES, Beside, Place, Row
from sibboleth.report.results import Results

FEW = 10
"""Fewer people than this say little about others."""
MANY = 50
"""Items of which nobody expects most people to be right about every one."""


def told(results: Results) -> list[str]:
    """Say for each domain who is better and by how much, on which labels they part, and whether errors are shared."""
    beside = Beside(results)
    said = [(_against(beside, p), _labels(beside, p), _errors(beside, p)) for p in beside.places(results.domain)]
    return [" ".join(text for text in texts if text) for texts in said if texts[0]]


def lead(results: Results) -> list[str]:
    """Say in a line each, for the page's answer, how the best model stands to people."""
    beside = Beside(results)
    places = beside.places(results.domain) if beside.there else []
    return [text for text in (_against(beside, place) for place in places) if text]


def _against(beside: Beside, place: Place) -> str:
    run, people = beside.best(place), beside.score(place, PEOPLE, ALL)
    if run is None or people is None or not math.isfinite(people["estimate"]):
        return ""
    model, rows = beside.score(place, run), beside.at("people-differences", place)
    wanted = {"metric": beside.results.metric, "slice": "all", "group": ALL, "a_run": run, "listeners": ALL}
    paired = rows.filter(**wanted).to_dicts() if len(rows) else []
    if model is None or not paired:
        return ""
    who = "a panel's votes" if place.kind == VOTES else beside.word
    reach = f"{who} reach {wording.metric(beside.results.metric)} {_written(people)}{_mutual(beside, place)}"
    return (
        f"Tested on {beside.title(place)}, {reach}, and "
        f"{beside.model(run, place)} {_written(model)} on the same {paired[0]['n']:,} items; "
        f"{_verdict(beside, paired[0], who)}."
    )


def _mutual(beside: Beside, place: Place) -> str:
    """Say of segments what people reach against one another: the ceiling of agreement."""
    row = ceiling(beside, place) if beside.results.kind == "segmentation" else None
    return "" if row is None else f" ({_written(row)} against one another)"


def _written(row: Row) -> str:
    return wording.estimate(row["estimate"], row["low"], row["high"])


def _verdict(beside: Beside, row: Row, who: str) -> str:
    difference = wording.estimate(row["difference"], row["low"], row["high"])
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return f"the paired difference is {difference}"
    if row["low"] <= 0 <= row["high"]:
        return f"the paired difference {difference} leaves open who is better"
    better = "the model is better" if row["difference"] * beside.results.better > 0 else f"{who} are better"
    return f"{better}, by the paired difference {difference}"


def _labels(beside: Beside, place: Place) -> str:
    """Say on which label people and the best model differ most, each way."""
    gaps = sorted(_gaps(beside, place), key=lambda gap: gap[:2])
    if len(gaps) < 2:
        return ""
    ends = (
        (gaps[0], "is furthest behind" if gaps[0][0] < 0 else "gains least"),
        (gaps[-1], "is furthest ahead" if gaps[-1][0] > 0 else "comes closest"),
    )
    said = [f"{what} on {label} ({model} against {people})" for (_, label, people, model), what in ends]
    return f"By label the model {' and '.join(said)}."


def _gaps(beside: Beside, place: Place) -> Iterator[tuple[float, str, str, str]]:
    run = beside.best(place)
    for label in beside.facts(place)["labels"] if run is not None else ():
        part = {"metric": "recall", "slice": f"label={label}"}
        people, model = beside.score(place, PEOPLE, ALL, **part), beside.score(place, str(run), **part)
        if people is not None and model is not None and math.isfinite(gap := model["estimate"] - people["estimate"]):
            yield gap, label, _written(people), _written(model)


def _errors(beside: Beside, place: Place) -> str:
    rows, run = beside.at("people-consistency", place), beside.best(place)
    if rows.is_empty() or run is None:
        return ""
    some = rows.filter(group=ALL, listeners=ALL)
    mutual = some.filter(between="people").to_dicts()
    own = some.filter(between="model and people", run=run).to_dicts()
    if not (mutual and own and math.isfinite(mutual[0]["estimate"]) and math.isfinite(own[0]["estimate"])):
        return ""
    pair = f"two {beside.word} with each other {_written(mutual[0])}"
    return f"It fails on the same items as {beside.word} with kappa {_written(own[0])}, {pair}."


def beyond(results: Results) -> str:
    """Explain the columns of the table beyond accuracy that it has."""
    beside = Beside(results)
    votes = all(place.kind == VOTES for place in beside.places(results.domain))
    sure = (
        f"Confidence{'' if votes else ' and entropy'}: Spearman's correlation over items of the model's largest "
        "probability "
        f"{'' if votes else '(its entropy) '}with the largest share of the answers of {beside.word}"
        f"{'' if votes else ' (their entropy)'}; above 0 the model is unsure where they disagree."
    )
    if votes:
        return sure
    return (
        f"Against the crowd: UAR with the majority of the others as truth, minus that of one {beside.one}. Shared "
        "errors: "
        f"error consistency with {beside.word}, minus that between two of them. {sure}"
    )


def cautions(results: Results) -> list[str]:
    """Say what may mislead: votes, few people, different chances; that listeners are simulated is said above them."""
    beside = Beside(results)
    places = [place for column in beside.columns for place in beside.places(column)]
    return [*_of_votes(beside, places), *_of_people(beside, places), *_of_domains(beside, places)]


def _of_votes(beside: Beside, places: list[Place]) -> Iterator[str]:
    votes = [place for place in places if place.kind == VOTES]
    if not votes:
        return
    yield (
        f"{wording.listing(list(dict.fromkeys(beside.title(place) for place in votes)))}: who gave which of these "
        "votes is "
        "not known. So intervals resample speakers alone, and listener groups, shared errors with their ceiling and "
        "effects of background cannot be told."
    )
    if any(_perfect(beside, place) for place in votes):
        yield (
            "What most said is right of every item: recordings may have been kept because people recognised them, so "
            "that "
            "what people reach here says little about other recordings."
        )
    if any(not beside.labelled(place) for place in votes) and beside.results.labels:
        yield (
            "Which wrong label was said is not known of these votes, and stands as (other): recall, UAR and accuracy "
            "are "
            "right, and agreement, the ceiling, precision and F1 cannot be told."
        )


def _perfect(beside: Beside, place: Place) -> bool:
    """Whether most people are right about every item, of many."""
    crowd = beside.score(place, PEOPLE, CROWD, metric="accuracy")
    return crowd is not None and crowd["estimate"] == 1 and crowd["n"] >= MANY


def _of_people(beside: Beside, places: list[Place]) -> Iterator[str]:
    apart = [place for place in places if place.kind != VOTES]
    if few := sorted({n for place in apart if (n := beside.facts(place)["people"]) < FEW}):
        number = f"{few[0]}" if len(few) == 1 else f"{few[0]} to {few[-1]}"
        yield f"Intervals over so few {beside.word} ({number}) say hardly anything about others."
    if beside.results.labels and any(ceiling(beside, place) is None for place in apart):
        lack = "" if beside.results.kind == "segmentation" else ", and no agreement"
        yield f"Where no item was heard by two or more there is no ceiling{lack}."
    if unknown := [beside.title(place) for place in apart if not _languages(beside, place)]:
        yield (
            f"Who is native is not known for {wording.listing(list(dict.fromkeys(unknown)))}: no listener's first "
            "language "
            "goes by the name that the items' language has; listeners.names in the study puts them together."
        )


def _languages(beside: Beside, place: Place) -> bool:
    """Whether it is known who is native, or nothing at all is known of languages."""
    people, groups = beside.read("people"), beside.at("people-groups", place)
    asked = "first_language" in people.columns and people["first_language"].count() > 0
    return not asked or (len(groups) > 0 and "language" in set(groups["by"]))


def _of_domains(beside: Beside, places: list[Place]) -> Iterator[str]:
    if len({beside.facts(place)["chance"] for place in places}) > 1:
        yield (
            "Domains have different numbers of labels, so chance differs, and with it the odds of being right: compare "
            "domains with that in mind."
        )
