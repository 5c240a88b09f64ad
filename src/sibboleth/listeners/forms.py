"""Forms: the orders of everything that a listener is given, counterbalanced over listeners."""

import hashlib
from collections.abc import Sequence

import numpy as np

from sibboleth.errors import InvalidInput
from sibboleth.listeners import sound
from sibboleth.listeners.orders import Places, Trait, paused, repeated, spread, square
from sibboleth.listeners.settings import ListeningTest, PartSettings
from sibboleth.listeners.subsets import subsets
from sibboleth.listeners.test import Form, Item


def forms(settings: ListeningTest, items: Sequence[Item], notes: list[str]) -> tuple[tuple[Form, ...], list[Item]]:
    """Order the items for every form; returns the forms and the repeats that they need as items of their own.

    Over the forms each item is early and late equally often, and so is each part; where the pool is larger than a
    listener's share, each form has as many items of every cell, each item is in about as many forms, and any two forms
    have items in common. What cannot be is added to `notes`. Raises `InvalidInput` where some item would be in no form,
    or more are to be repeated than a form has.
    """
    orders: dict[str, list[list[str]]] = {}
    more: dict[str, Item] = {}
    for part in settings.parts:
        mine = [item for item in items if item.part == part.name]
        orders[part.name] = _part(settings, part, mine, more, notes)
    rows = square(len(settings.parts))
    made = []
    for number in range(settings.forms):
        turn = [settings.parts[place].name for place in rows[number % len(rows)]]
        keys = [key for name in turn for key in orders[name][number]]
        made.append(Form(number=number, items=tuple(paused(keys, settings.pause))))
    return tuple(made), list(more.values())


def _part(
    settings: ListeningTest, part: PartSettings, mine: Sequence[Item], more: dict[str, Item], notes: list[str]
) -> list[list[str]]:
    """Order one part for every form, with its practice before it."""
    random = np.random.default_rng(list(hashlib.sha256(f"{settings.seed}/{part.name}/orders".encode()).digest()))
    items = [item for item in mine if item.role == "item"]
    practice = [item.key for item in mine if item.role == "practice"]
    catch = [item.key for item in mine if item.role == "catch"]
    numbers = {cell: number for number, cell in enumerate(sorted({_cell(part, item) for item in items}))}
    traits = [
        Trait(numbers[_cell(part, item)], item.answer if part.kind != "text" else "", item.speaker) for item in items
    ]
    chosen = _chosen(settings, part, traits, random, notes)
    if part.repeats > len(chosen[0]):
        raise InvalidInput(
            f"part {part.name!r}: repeats = {part.repeats}, and each listener has {len(chosen[0])} items that could "
            "come twice; ask for fewer"
        )
    places = Places(traits, chosen, random)
    made = []
    for form in range(settings.forms):
        order = places.ordered(form)
        again = _again(part, order, traits, random)
        for number, place in enumerate(spread(len(catch), len(order), random)):
            order.insert(place + number, -1 - number)
        keys = []
        for item in repeated(order, again, places, random):
            keys.append(catch[-1 - item] if item < 0 else items[item].key)
        made.append([*practice, *_second(settings, items, keys, more)])
    return made


def _cell(part: PartSettings, item: Item) -> tuple[str, ...]:
    label = "" if part.kind == "text" else item.answer
    return (*(item.values.get(name, "") for name in part.by), label)


def _chosen(
    settings: ListeningTest, part: PartSettings, traits: Sequence[Trait], random: np.random.Generator, notes: list[str]
) -> list[list[int]]:
    """Choose the items of every form: all, or balanced subsets."""
    count = settings.per_listener or len(traits)
    if count >= len(traits):
        return [list(range(len(traits)))] * settings.forms
    if settings.forms * count < len(traits):
        raise InvalidInput(
            f"part {part.name!r}: {settings.forms} forms of {count} items are fewer than its {len(traits)} items; give "
            f"forms = {-(-len(traits) // count)} or more, or a larger per_listener"
        )
    cells: dict[int, list[int]] = {}
    for number, trait in enumerate(traits):
        cells.setdefault(trait.cell, []).append(number)
    found = subsets([cells[cell] for cell in sorted(cells)], count, settings.forms, random)
    if found.apart:
        pairs = settings.forms * (settings.forms - 1) // 2
        notes.append(
            f"part {part.name}: {found.apart} of {pairs} pairs of forms have no item in common, so their listeners "
            "are compared through others only; a larger per_listener mends it"
        )
    return [np.flatnonzero(row).tolist() for row in found.chosen]


def _again(part: PartSettings, order: Sequence[int], traits: Sequence[Trait], random: np.random.Generator) -> list[int]:
    """Choose what comes a second time, from as many cells as can be."""
    seen: dict[int, int] = {}
    turns = []
    for item in random.permutation(np.asarray(order)).tolist():
        turns.append((seen.setdefault(traits[item].cell, 0), item))
        seen[traits[item].cell] += 1
    return [item for _, item in sorted(turns, key=lambda one: one[0])[: part.repeats]]


def _second(settings: ListeningTest, items: Sequence[Item], keys: Sequence[str], more: dict[str, Item]) -> list[str]:
    """Give every second time a key of its own."""
    known = {item.key: item for item in items}
    seen: set[str] = set()
    made = []
    for key in keys:
        if key in seen:
            item = known[key]
            again = sound.name(settings.seed, item.part, "repeat", item.utterance)
            more.setdefault(again, item.model_copy(update={"key": again, "role": "repeat"}))
            key = again
        seen.add(key)
        made.append(key)
    return made
