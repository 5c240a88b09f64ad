"""The mixed model recovers effects that simulated listeners have, and its intervals hold them."""

import numpy as np
from scipy import special
from tests.panels import simulate
from tests.scores.people.test_people import LABELS, listeners, reference_of, truth_of

from sibboleth.scores.people.effects import effects
from sibboleth.scores.people.panel import gather
from sibboleth.stats.mixed import CrossedLogistic


def study(seed: int, raters: int = 16, speakers: int = 8, each: int = 5) -> tuple[np.ndarray, ...]:
    """Answers of natives and others to a standard and a dialect, which only the others find hard: log odds -1.2."""
    rng = np.random.default_rng(seed)
    item, who = (codes.ravel() for codes in np.indices((speakers * each, raters)))
    speaker = item // each
    dialect, other = speaker % 2, who % 2
    odds = 0.8 - 0.4 * other - 1.2 * dialect * other
    odds = odds + rng.normal(0, 0.6, raters)[who] + rng.normal(0, 0.8, speakers * each)[item]
    odds = odds + rng.normal(0, 0.4, speakers)[speaker]
    return rng.random(len(odds)) < special.expit(odds), dialect * 2 + other, who, item, speaker


def test_known_effects_and_deviations_are_recovered() -> None:
    interaction = np.array([1.0, -1.0, -1.0, 1.0])
    found, held, deviations = [], 0, []
    for seed in range(12):
        right, cell, who, item, speaker = study(seed)
        fitted = CrossedLogistic(right, cell, [who, item, speaker]).fit()
        error = np.sqrt(interaction @ fitted.covariance @ interaction)
        found.append(interaction @ fitted.odds)
        held += abs(found[-1] + 1.2) < 2.2 * error
        deviations.append(fitted.deviations)
    assert abs(np.mean(found) + 1.2) < 0.25
    assert held >= 10
    np.testing.assert_allclose(np.mean(deviations, axis=0), [0.6, 0.8, 0.4], atol=0.2)


def test_without_differences_between_people_and_items_it_is_plain_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    item, who = (codes.ravel() for codes in np.indices((60, 20)))
    cell = item % 2
    right = rng.random(len(item)) < np.where(cell, 0.8, 0.6)
    fitted = CrossedLogistic(right, cell, [who, item]).fit()
    shares = [right[cell == k].mean() for k in (0, 1)]
    np.testing.assert_allclose(special.expit(fitted.odds), shares, atol=0.01)
    assert (fitted.deviations < 0.35).all()


def test_order_and_names_of_levels_change_nothing() -> None:
    right, cell, who, item, speaker = study(1, raters=8, speakers=4)
    rows = np.random.default_rng(0).permutation(len(right))
    swapped = np.random.default_rng(1).permutation(8)[who]
    first = CrossedLogistic(right, cell, [who, item, speaker]).fit()
    second = CrossedLogistic(right[rows], cell[rows], [swapped[rows], item[rows], speaker[rows]]).fit()
    np.testing.assert_allclose(first.odds, second.odds, atol=1e-4)
    np.testing.assert_allclose(first.covariance, second.covariance, atol=1e-4)


def test_effects_are_odds_ratios_within_levels_and_their_interaction() -> None:
    standard, dialect = truth_of(32, name="s"), truth_of(32, name="d")
    names = listeners(16)
    native = {name: "yes" if k % 2 else "no" for k, name in enumerate(names)}
    strange = {name: 3.0 if value == "yes" else -1.0 for name, value in native.items()}
    speakers = {u: f"{u[0]}{int(u[1:]) // 4}" for u in standard | dialect}
    usual = dict.fromkeys(names, 3.0)
    panels = {
        "dialect": gather(
            simulate(dialect, LABELS, names, ability=strange, seed=2), reference_of(dialect), LABELS, speakers
        ),
        "standard": gather(
            simulate(standard, LABELS, names, ability=usual, seed=3), reference_of(standard), LABELS, speakers
        ),
    }
    table = effects(panels, {"native": {("simulated", name): value for name, value in native.items()}}, 0.95)
    rows = {(row["effect"], row["within"]): row for row in table.to_dicts()}
    assert rows["domain", "no"]["low"] > 3 and rows["domain", "yes"]["low"] < 1 < rows["domain", "yes"]["high"]
    assert rows["background", "dialect"]["low"] > 3
    assert rows["background", "standard"]["low"] < 1 < rows["background", "standard"]["high"]
    assert rows["interaction", ""]["high"] < 0.5 and rows["interaction", ""]["p"] < 0.01
    assert rows["domain", "no"]["df"] == 7 and rows["background", "dialect"]["df"] == 7  # 8 listeners; 8 speakers
    assert rows["interaction", ""]["df"] == 14

    perfect = {name: panels[name] for name in panels}
    alike = simulate(standard, LABELS, names, ability=dict.fromkeys(names, 60.0))
    perfect["standard"] = gather(alike, reference_of(standard), LABELS, speakers)
    for row in effects(perfect, {}, 0.95).to_dicts():
        assert np.isnan([row["odds_ratio"], row["low"], row["high"], row["p"]]).all()
    assert effects({"standard": panels["standard"]}, {}, 0.95).is_empty()
