"""Orders and subsets: everything early and late, seldom twice alike in a row, every item heard equally often."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from sibboleth.errors import InvalidInput
from sibboleth.listeners.forms import forms
from sibboleth.listeners.orders import paused, square
from sibboleth.listeners.settings import ListeningTest
from sibboleth.listeners.subsets import subsets
from sibboleth.listeners.test import Item

LABELS = ("angry", "happy", "neutral", "sad")


def settings(**more: object) -> ListeningTest:
    part = {"name": "one", "labels": LABELS, "by": ("language",), "count": 4}
    plain = {"name": "t", "corpora": [{"name": "c", "manifest": "c.csv"}], "parts": [part], "pause": 0}
    return ListeningTest.model_validate({**plain, **more})


def items(part: str = "one", each: int = 4, languages: str = "abc") -> list[Item]:
    made = []
    for language in languages:
        for number in range(each):
            for label in LABELS:
                name = f"{language}-{label}-{number}"
                plain = {"part": part, "role": "item", "audio": name, "seconds": 1.0, "utterance": name}
                who = {"speaker": f"{language}{number}", "values": {"language": language}, "answer": label}
                made.append(Item.model_validate({"key": f"{part}:{name}", "labels": LABELS, **plain, **who}))
    return made


def other(role: str, number: int, answer: str = "sad", part: str = "one") -> Item:
    plain = {"key": f"{role}{number}", "part": part, "role": role, "audio": "x", "seconds": 1.0, "labels": LABELS}
    return Item.model_validate({**plain, "utterance": "", "answer": answer})


def test_every_item_is_early_and_late_equally_often() -> None:
    there = items()
    made, more = forms(settings(forms=12), there, [])
    assert not more
    quarters: dict[str, Counter[int]] = {item.key: Counter() for item in there}
    for form in made:
        assert sorted(form.items) == sorted(quarters)
        for place, key in enumerate(form.items):
            quarters[key][place * 4 // len(there)] += 1
    assert all(counts == dict.fromkeys(range(4), 3) for counts in quarters.values()), "12 forms: 3 times in each"
    assert len({form.items for form in made}) == 12


def test_neighbours_are_seldom_alike() -> None:
    there = {item.key: item for item in items()}
    made, _ = forms(settings(forms=24), list(there.values()), [])
    for form in made:
        labels = [there[key].answer for key in form.items]
        assert all(len(set(three)) > 1 for three in zip(labels, labels[1:], labels[2:], strict=False))
        assert not any(there[one].speaker == there[next_one].speaker for one, next_one in pairwise(form.items))


def test_neighbours_differ_from_form_to_form() -> None:
    made, _ = forms(settings(forms=12), items(), [])
    pairs = Counter(pair for form in made for pair in pairwise(form.items))
    assert max(pairs.values()) <= 5 and len(pairs) > 300, "a rotated order would have 47, each of them 11 times"


def test_a_repeat_is_far_from_its_first_time() -> None:
    part = {"name": "one", "labels": LABELS, "by": ("language",), "count": 4, "repeats": 8}
    there = items()
    made, more = forms(settings(forms=12, parts=[part]), there, [])
    names = {item.key: item for item in (*there, *more)}
    assert {item.role for item in more} == {"repeat"}
    assert all(item.audio == names[f"one:{item.utterance}"].audio for item in more)
    for form in made:
        first = {names[key].utterance: place for place, key in enumerate(form.items) if names[key].role == "item"}
        second = {names[key].utterance: place for place, key in enumerate(form.items) if names[key].role == "repeat"}
        assert len(second) == 8 and len(form.items) == len(there) + 8
        assert all(place - first[utterance] > 10 for utterance, place in second.items())
        cells = Counter((names[f"one:{name}"].values["language"], names[f"one:{name}"].answer) for name in second)
        assert max(cells.values()) == 1


def test_catch_trials_are_spread_and_practice_comes_first() -> None:
    there = [*items(), *(other("catch", number) for number in range(4)), other("practice", 0), other("practice", 1)]
    made, _ = forms(settings(forms=12), there, [])
    for form in made:
        assert form.items[:2] == ("practice0", "practice1")
        places = [place for place, key in enumerate(form.items) if key.startswith("catch")]
        assert len(places) == 4 and places[0] >= 4 and min(b - a for a, b in pairwise(places)) >= 1
        assert all(2 + 11 * n <= place <= 18 + 13 * n for n, place in enumerate(places))
    assert len({place for form in made for place, key in enumerate(form.items) if key == "catch0"}) > 4


def test_parts_change_places() -> None:
    parts = [{"name": name, "labels": LABELS, "by": ("language",), "count": 4} for name in ("one", "two", "three")]
    there = [item for name in ("one", "two", "three") for item in items(name, each=1)]
    made, _ = forms(settings(forms=12, parts=parts), there, [])
    turns = Counter(tuple(dict.fromkeys(key.partition(":")[0] for key in form.items)) for form in made)
    assert len(turns) == 6 and set(turns.values()) == {2}, "each of the six orders of three parts, twice"


def test_a_part_more_leaves_the_order_of_the_others() -> None:
    parts = [{"name": name, "labels": LABELS, "by": ("language",), "count": 4} for name in ("one", "two")]
    alone, _ = forms(settings(forms=6), items(), [])
    both, _ = forms(settings(forms=6, parts=parts), [*items(), *items("two")], [])
    for one, two in zip(alone, both, strict=True):
        assert [key for key in two.items if key.startswith("one")] == list(one.items)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 12])
def test_in_a_williams_square_all_stand_everywhere_and_before_each_other_equally_often(size: int) -> None:
    rows = square(size)
    for column in rows.T:
        assert len(set(Counter(column.tolist()).values())) == 1 and len(set(column.tolist())) == size
    before = Counter(pair for row in rows.tolist() for pair in pairwise(row))
    assert len(before) == size * (size - 1) and len(set(before.values())) <= 1


def test_a_break_comes_after_so_many_items_but_not_at_the_end() -> None:
    assert paused(list("abcdef"), 2) == ["a", "b", "|", "c", "d", "|", "e", "f"]
    assert paused(list("abc"), 3) == ["a", "b", "c"] and paused(list("abc"), 0) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("cells", "each", "count", "forms"),
    [(12, 12, 48, 12), (12, 40, 60, 24), (3, 30, 20, 15), (5, 7, 9, 8), (1, 9, 4, 7)],
)
def test_subsets_are_balanced_and_any_two_of_them_overlap(cells: int, each: int, count: int, forms: int) -> None:
    numbers = [list(range(cell * each, (cell + 1) * each)) for cell in range(cells)]
    found = subsets(numbers, count, forms, np.random.default_rng(1))
    chosen = found.chosen
    assert (chosen.sum(axis=1) == count).all()
    for cell in numbers:
        assert set(chosen[:, cell].sum(axis=1)) <= {count // cells, -(-count // cells)}
        times = chosen[:, cell].sum(axis=0)
        assert times.max() - times.min() <= 1
    assert found.apart == 0 and all((chosen[a] & chosen[b]).any() for a, b in combinations(range(forms), 2))


def test_forms_that_cannot_overlap_are_told() -> None:
    notes: list[str] = []
    made, _ = forms(settings(forms=2, per_listener=24), items(), notes)
    assert not set(made[0].items) & set(made[1].items) and "1 of 1 pairs of forms have no item in common" in notes[0]
    with pytest.raises(InvalidInput, match="forms = 5 or more"):
        forms(settings(forms=4, per_listener=10), items(), notes)


def test_items_of_subsets_are_early_and_late_equally_often_too() -> None:
    there = items(each=12)
    made, _ = forms(settings(forms=24, per_listener=36), there, [])
    places: dict[str, list[float]] = {}
    for form in made:
        for place, key in enumerate(form.items):
            places.setdefault(key, []).append((place + 0.5) / len(form.items))
    assert len(places) == len(there) and {len(several) for several in places.values()} == {6}
    means = np.array([np.mean(several) for several in places.values()])
    assert means.min() > 0.35 and means.max() < 0.65
