"""Rate ratios: against statsmodels' own formula on every utterance, closed forms, and simulated truth."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats as scipy_stats

from sibboleth.stats import LogRates

Array = npt.NDArray[np.float64]
SPEAKERS = 18


def spoken(seed: int, apart: bool) -> pd.DataFrame:
    """Utterances with errors, words, speaker and accent; a speaker has one accent, or takes turns."""
    random = np.random.default_rng(seed)
    count = 400
    speaker = random.integers(0, SPEAKERS, count)
    accent = speaker % 3 if apart else random.integers(0, 3, count)
    words = random.integers(1, 20, count)
    hard = np.exp(random.normal(0, 0.4, SPEAKERS))[speaker]
    errors = random.poisson(0.1 * (1 + accent) * hard * words)
    return pd.DataFrame({"errors": errors, "words": words, "speaker": speaker, "accent": [f"a{k}" for k in accent]})


def summed(data: pd.DataFrame) -> tuple[Array, Array]:
    tables = [
        data.pivot_table(name, "speaker", "accent", "sum", fill_value=0).to_numpy(float) for name in ("errors", "words")
    ]
    return tables[0], tables[1]


@pytest.mark.parametrize("apart", [True, False])
def test_equals_the_formula_on_every_utterance(apart: bool) -> None:
    data = spoken(0, apart)
    model = smf.gee(
        "errors ~ accent",
        "speaker",
        data,
        family=sm.families.Poisson(),
        cov_struct=sm.cov_struct.Independence(),
        offset=np.log(data["words"]),
    ).fit(cov_type="bias_reduced")
    errors, words = summed(data)
    rates = LogRates(errors, words)
    for group in (1, 2):
        ours = rates.ratio(group, 0, 0.95)
        slope, error = model.params[f"accent[T.a{group}]"], model.bse[f"accent[T.a{group}]"]
        assert ours.ratio == pytest.approx(np.exp(slope))
        assert ours.ratio == pytest.approx(
            (errors[:, group].sum() / words[:, group].sum()) / (errors[:, 0].sum() / words[:, 0].sum())
        )
        assert np.log(ours.high / ours.ratio) == pytest.approx(np.log(ours.ratio / ours.low))
        t = np.log(ours.high / ours.ratio) / error
        assert ours.p == pytest.approx(2 * scipy_stats.t.sf(slope / error, _freedom(t)), rel=1e-4)
        assert 2.0 < t < 3.0  # Student's, not the normal's 1.96


def _freedom(t: float) -> float:
    """Degrees of freedom of which t is the quantile for 95 %."""
    low, high = 1.0, 1e6
    for _ in range(200):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if scipy_stats.t.ppf(0.975, middle) > t else (low, middle)
    return float(low)


def test_closed_form_of_two_groups() -> None:
    """Var log r = sum((e - r w) / (1 - w / W))^2 / E^2; degrees of freedom by Welch and Satterthwaite."""
    errors, words = summed(spoken(1, True))
    variances, freedoms = [], []
    for k in (0, 2):
        here = words[:, k] > 0
        e, w = errors[here, k], words[here, k]
        variances.append((((e - e.sum() / w.sum() * w) / (1 - w / w.sum())) ** 2).sum() / e.sum() ** 2)
        freedoms.append(w.sum() ** 2 / (w**2).sum() - 1)
    freedom = sum(variances) ** 2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    step = scipy_stats.t.ppf(0.95, freedom) * np.sqrt(sum(variances))
    ours = LogRates(errors, words).ratio(2, 0, 0.9)
    assert (ours.low, ours.high) == pytest.approx((ours.ratio * np.exp(-step), ours.ratio * np.exp(step)))
    mirrored = LogRates(errors, words).ratio(0, 2, 0.9)
    assert (mirrored.ratio, mirrored.low, mirrored.high, mirrored.p) == pytest.approx(
        (1 / ours.ratio, 1 / ours.high, 1 / ours.low, ours.p)
    )


@pytest.mark.parametrize(("speakers", "least"), [((4, 4), 0.93), ((12, 12), 0.91), ((3, 30), 0.89)])
def test_intervals_hold_a_known_ratio(speakers: tuple[int, int], least: float) -> None:
    random = np.random.default_rng(2)
    held, logs = [], []
    for _ in range(120):
        words = np.zeros((sum(speakers), 2))
        words[: speakers[0], 0], words[speakers[0] :, 1] = (300 * random.lognormal(0, 0.5, n) + 1 for n in speakers)
        hard = random.lognormal(-0.125, 0.5, sum(speakers))[:, None]
        found = LogRates(random.poisson(words * hard * [0.1, 0.2]).astype(float), words).ratio(1, 0, 0.95)
        held.append(found.low <= 2 <= found.high)
        logs.append(np.log(found.ratio))
    assert np.mean(held) >= least
    assert np.mean(logs) == pytest.approx(np.log(2), abs=0.12)


def test_groups_without_errors_or_with_one_speaker_have_no_interval() -> None:
    words = np.array([[100, 0, 0, 0], [100, 0, 0, 0], [0, 50, 0, 0], [0, 0, 80, 0], [0, 0, 80, 0], [0, 0, 0, 0]], float)
    errors = np.array([[5, 0, 0, 0], [9, 0, 0, 0], [0, 7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [3, 0, 0, 0]], float)
    rates = LogRates(errors, words)
    alone = rates.ratio(1, 0, 0.95)
    assert alone.ratio == pytest.approx((7 / 50) / (14 / 200))  # errors to empty references alone belong to no rate
    assert np.isnan([alone.low, alone.high, alone.p]).all()
    perfect = rates.ratio(0, 2, 0.95)
    assert np.isnan([perfect.ratio, perfect.low, perfect.high, perfect.p]).all()
    assert rates.ratio(2, 0, 0.95).ratio == 0
    assert np.isnan(rates.ratio(3, 0, 0.95).ratio)


def test_names_and_order_of_speakers_change_no_bit() -> None:
    errors, words = summed(spoken(3, False))
    first = LogRates(errors, words).ratio(2, 0, 0.95)
    order = np.random.default_rng(0).permutation(len(errors))
    assert LogRates(errors[order], words[order]).ratio(2, 0, 0.95) == first


def test_a_very_unequal_pair_of_speakers_gives_a_huge_interval_and_no_warning() -> None:
    errors, words = np.array([[1.0, 0], [900, 0], [0, 5], [0, 9]]), np.array([[1.0, 0], [1e6, 0], [0, 90], [0, 80]])
    found = LogRates(errors, words).ratio(1, 0, 0.95)
    assert found.low < 1e-6 and found.high > 1e6 and found.p > 0.5


def test_speakers_who_all_err_alike_show_no_variance() -> None:
    """Two of three groups have no spread: a rate and no interval, however plain the difference looks."""
    errors = np.array([[10.0, 0, 0], [20, 0, 0], [0, 5, 0], [0, 10, 0], [0, 0, 3], [0, 0, 9]])
    length = np.array([[10.0, 0, 0], [20, 0, 0], [0, 10, 0], [0, 20, 0], [0, 0, 10], [0, 0, 20]])
    rates = LogRates(errors, length)
    found = rates.ratio(0, 1, 0.95)
    assert found.ratio == pytest.approx(2) and np.isnan([found.low, found.high, found.p]).all()
    assert np.isnan(rates.ratio(1, 2, 0.95).p) and rates.ratio(1, 2, 0.95).ratio == pytest.approx(0.5 / 0.4)
    third = LogRates(np.array([[0.1 * 3], [0.1 * 7]]), np.array([[3.0], [7.0]]))
    assert np.isnan(third.ratio(0, 0, 0.95).p), "rounding is no spread"
