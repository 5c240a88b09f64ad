"""Dealing groups to parts, against trying everything."""

import itertools
import time

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sibboleth.stratification import deal, linked, tabulate


def cost(part: np.ndarray, counts: np.ndarray, shares: np.ndarray, needed: np.ndarray) -> float:
    held = np.stack([counts[part == p].sum(axis=0) / counts.sum(axis=0) for p in range(len(shares))])
    return float(((held - shares[:, None]) ** 2).sum() + needed[held == 0].sum())


@pytest.mark.parametrize("shares", [[1 / 3, 1 / 3, 1 / 3], [0.8, 0.2]])
def test_dealing_is_nearly_as_good_as_the_best_of_all_ways(shares: list[float]) -> None:
    random = np.random.default_rng(0)
    for number in range(6):
        counts = random.poisson(random.gamma(1, 8, size=(7, 3))).astype(float) + np.eye(7, 3)
        needed = random.choice([0.0, 1.0, 10.0], size=(len(shares), 3))
        ways = (np.array(way) for way in itertools.product(range(len(shares)), repeat=7))
        best = min(cost(way, counts, np.array(shares), needed) for way in ways)
        ours = cost(deal(counts, shares, needed, (number,)), counts, np.array(shares), needed)
        assert ours <= best + 0.02


def test_many_groups_are_dealt_evenly() -> None:
    counts = np.random.default_rng(0).poisson(20, size=(1000, 5)).astype(float)
    part = deal(counts, [0.2] * 5, np.ones((5, 5)), (0,))
    held = np.stack([counts[part == p].sum(axis=0) / counts.sum(axis=0) for p in range(5)])
    assert np.abs(held - 0.2).max() < 0.002


def test_linked_rows_are_connected_components() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one, two = random.integers(0, 12, 20), random.integers(0, 12, 20)
        component = linked(one, two)
        graph = coo_array((np.ones(20), (one, two + 12)), shape=(24, 24))
        _, truth = connected_components(graph, directed=False)
        same = component[:, None] == component[None, :]
        assert np.array_equal(same, truth[one][:, None] == truth[one][None, :])


def test_tabulate_counts_pairs() -> None:
    table = tabulate(np.array([0, 0, 2, 2]), np.array([1, 1, 0, 1]))
    assert table.tolist() == [[0, 2], [0, 0], [1, 1]]


def test_tens_of_thousands_of_groups_are_dealt_evenly_within_seconds() -> None:
    random = np.random.default_rng(0)
    domain = random.integers(0, 10, 20_000)
    counts = random.poisson(5, size=(20_000, 4)).astype(float)
    counts = (counts[:, None, :] * (domain[:, None] == np.arange(10))[:, :, None]).reshape(20_000, 40)
    begun = time.process_time()
    part = deal(counts, [0.2] * 5, np.ones((5, 40)), (0,))
    assert time.process_time() - begun < 15
    held = np.stack([counts[part == p].sum(axis=0) / counts.sum(axis=0) for p in range(5)])
    assert np.abs(held - 0.2).max() < 0.005
