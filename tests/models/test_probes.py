"""Probes trained together equal probes trained alone, and both equal an independent implementation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from sibboleth import splits, study
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import convex, held, probes, selection
from sibboleth.models.probes import Answer, Probing
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.splits import Fit

LABELS = 3


class Made:
    """Features of 3 layers of which the second knows the label best."""

    layers = 3

    def __init__(self, rows: int = 120, dim: int = 6, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.codes = rng.integers(0, LABELS, rows)
        signal = np.eye(dim, dtype=np.float32)[self.codes]
        noise = rng.normal(size=(3, rows, dim)).astype(np.float32)
        self.values = noise + signal * np.array([0.3, 2.0, 0.8], np.float32)[:, None, None]

    def matrix(self, layer: int, pooling: str) -> np.ndarray:
        return self.values[layer]

    @property
    def truth(self) -> np.ndarray:
        return np.eye(LABELS)[self.codes]


def fits() -> list[Fit]:
    """Two folds of one source; the second is also selected on another domain's dev rows."""
    rows = np.arange(120)
    within, zero_shot = splits.Test("within", "a", rows[65:80]), splits.Test("zero-shot", "b", rows[90:110])
    return [
        Fit("a", "0", rows[:50], rows[50:65], (within, zero_shot)),
        Fit("a", "1", rows[30:80], rows[:15], (splits.Test("within", "a", rows[15:30]),)),
        Fit("a", "1", rows[30:80], rows[110:120], (splits.Test("target-selected", "b", rows[90:110]),)),
    ]


def probing(probe: LinearProbe | MlpProbe, **changes: object) -> Probing:
    settings = dict(kind="classification", probe=probe, pooling="mean", trials=2, seed=7, layer_mix=True)
    return Probing(**{**settings, **changes})  # type: ignore[arg-type]


def by_key(answers: list[Answer]) -> dict[tuple[int, int | None, int], Answer]:
    return {(a.fit, a.layer, a.trial): a for a in answers}


def chosen(answer: Answer) -> tuple[float | None, ...]:
    return answer.choice, answer.learning_rate, answer.weight_decay


def same(answers: list[Answer], others: list[Answer]) -> bool:
    """Equal to the bit, in the same order."""
    return len(answers) == len(others) and all(
        chosen(a) == chosen(b)
        and (a.fit, a.layer, a.trial) == (b.fit, b.layer, b.trial)
        and all(map(np.array_equal, (a.dev, *a.tests), (b.dev, *b.tests)))
        for a, b in zip(answers, others, strict=True)
    )


def test_the_linear_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    made, one = Made(), fits()[0]
    penalty = 0.01
    mine = by_key(list(probing(LinearProbe(l2=(penalty,)), layer_mix=False).answers(made, made.truth, [one])))
    for layer in range(3):
        x = made.values[layer].astype(float)
        mean, deviation = x[one.train].mean(0), x[one.train].std(0)
        x = (x - mean) / deviation
        oracle = LogisticRegression(C=1 / (penalty * len(one.train)), tol=1e-9, max_iter=5000)
        oracle.fit(x[one.train], made.codes[one.train])
        for test, answer in zip(one.tests, mine[0, layer, 0].tests, strict=True):
            np.testing.assert_allclose(answer, oracle.predict_proba(x[test.rows]), atol=1e-4)


def test_the_linear_regression_probe_is_the_ridge_of_scikit_learn() -> None:
    made, one = Made(), fits()[0]
    truth = made.values[1] @ np.arange(6.0)[:, None] + 40
    penalty = 0.1
    settings = probing(LinearProbe(l2=(penalty,)), kind="regression", layer_mix=False)
    answer = by_key(list(settings.answers(made, truth, [one])))[0, 2, 0]
    x = made.values[2].astype(float)
    x = (x - x[one.train].mean(0)) / x[one.train].std(0)
    oracle = Ridge(alpha=penalty * len(one.train)).fit(x[one.train], truth[one.train])
    np.testing.assert_allclose(answer.tests[0][:, 0], oracle.predict(x[one.tests[0].rows]).ravel(), atol=1e-3)


def test_the_penalty_is_the_one_with_the_lowest_dev_loss() -> None:
    made, one = Made(), fits()[0]
    grid = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    chosen = by_key(list(probing(LinearProbe(l2=grid), layer_mix=False).answers(made, made.truth, [one])))
    losses = {}
    for penalty in grid:
        alone = by_key(list(probing(LinearProbe(l2=(penalty,)), layer_mix=False).answers(made, made.truth, [one])))
        losses[penalty] = -np.log((alone[0, 0, 0].dev * made.truth[one.dev]).sum(1)).mean()
    assert chosen[0, 0, 0].choice == min(losses, key=lambda penalty: losses[penalty])


MLP = MlpProbe(hidden=(8,), learning_rate=(3e-3, 3e-2), weight_decay=(0.0, 1.0), epochs=12, patience=2)


@pytest.mark.parametrize("probe", [LinearProbe(), MLP])
def test_trained_together_equals_trained_alone(probe: LinearProbe | MlpProbe) -> None:
    made = Made()
    together = by_key(list(probing(probe).answers(made, made.truth, fits())))
    for index, fit in enumerate(fits()):
        alone = by_key(list(probing(probe).answers(made, made.truth, [fit])))
        for (_, layer, trial), answer in alone.items():
            other = together[index, layer, trial]
            assert chosen(other) == chosen(answer)
            for mine, theirs in zip(answer.tests, other.tests, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_a_shared_source_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that differ only in who selects share one solution."""
    made, solved = Made(), []
    solve = convex.solve

    def counting(layers: list[torch.Tensor], truth: torch.Tensor, sets: list[torch.Tensor], *rest: object) -> object:
        solved.append((len(layers), len(sets)))
        return solve(layers, truth, sets, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(convex, "solve", counting)
    list(probing(LinearProbe(l2=(0.1, 1.0)), layer_mix=False).answers(made, made.truth, fits()))
    assert solved == [(3, 2)]  # three layers, all together, by two training sets, for three fits


def test_soft_labels_pull_probabilities_towards_them() -> None:
    made, fit = Made(), fits()[0]
    blurred = 0.6 * made.truth + 0.4 / LABELS
    sharp = by_key(list(probing(LinearProbe(), layer_mix=False).answers(made, made.truth, [fit])))[0, 1, 0]
    soft = by_key(list(probing(LinearProbe(), layer_mix=False).answers(made, blurred, [fit])))[0, 1, 0]
    assert soft.tests[0].max(1).mean() < sharp.tests[0].max(1).mean()


@pytest.mark.parametrize("probe", [MLP, LinearProbe()])
def test_dev_chooses_the_candidate_and_its_epoch(
    probe: MlpProbe | LinearProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every fit, layer (and the mix) and seed: the candidate whose best epoch has the lowest dev loss, alone."""
    made = Made()
    if isinstance(probe, LinearProbe):
        monkeypatch.setattr(
            probes,
            "LINEAR_MIX",
            MLP.model_copy(update={"hidden": (), "standardise": True, "learning_rate": (0.01, 1.0)}),
        )
    settings = probes.LINEAR_MIX if isinstance(probe, LinearProbe) else probe
    together = list(probing(probe).answers(made, made.truth, fits()))
    alone = {}
    for candidate in selection.candidates(settings):
        one = settings.model_copy(
            update={"learning_rate": (candidate.learning_rate,), "weight_decay": (candidate.weight_decay,)}
        )
        monkeypatch.setattr(probes, "LINEAR_MIX", one)
        single = probe if isinstance(probe, LinearProbe) else one
        alone[candidate] = by_key(list(probing(single).answers(made, made.truth, fits())))
    asked = [a for a in together if a.layer is None or isinstance(probe, MlpProbe)]
    for answer in asked:
        key, truth = (answer.fit, answer.layer, answer.trial), made.truth[fits()[answer.fit].dev]
        losses = {one: -np.log((found[key].dev * truth).sum(1)).mean() for one, found in alone.items()}
        best = min(losses, key=losses.__getitem__)
        assert (answer.learning_rate, answer.weight_decay) == best
        assert answer.choice == alone[best][key].choice
        np.testing.assert_allclose(answer.tests[0], alone[best][key].tests[0], atol=2e-5)
    assert len({(a.learning_rate, a.weight_decay) for a in asked}) > 1, "one candidate always wins: this shows nothing"


@pytest.mark.parametrize("probe", [LinearProbe(), MLP, MlpProbe(standardise=True, epochs=3)])
def test_the_same_again_to_the_bit(probe: LinearProbe | MlpProbe) -> None:
    made = Made()
    first, second = (list(probing(probe).answers(made, made.truth, fits())) for _ in range(2))
    assert same(first, second)


@pytest.mark.parametrize("probe", [LinearProbe(), MLP])
def test_units_are_the_whole_to_the_bit(probe: LinearProbe | MlpProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done before: a unit answers alone what it answers in the course of all."""
    monkeypatch.setattr(probes, "UNIT_FLOATS", 2 * 120 * 6)
    made, asked = Made(), probing(probe)
    units = asked.units(made, LABELS, fits())
    assert units == ((0, 1), (2,), (None,))
    whole = list(asked.answers(made, made.truth, fits()))
    apart = {unit: list(asked.answers_of(unit, made, made.truth, fits())) for unit in reversed(units)}
    assert same(whole, [answer for unit in units for answer in apart[unit]])


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_mix_too_large_for_memory_is_the_same_to_the_bit(
    hidden: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made()
    asked = probing(MLP.model_copy(update={"hidden": hidden, "standardise": True}))
    expected = list(asked.answers_of((None,), made, made.truth, fits()))
    monkeypatch.setattr(held, "MEMORY_BYTES", 1000)
    assert same(list(asked.answers_of((None,), made, made.truth, fits())), expected)


def test_no_room_for_a_mix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(held, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(held.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(SibbolethError, match="No space left.*layer_mix = false"):
        list(probing(MLP).answers_of((None,), Made(), Made().truth, fits()))


def test_a_diverging_candidate_is_not_chosen() -> None:
    made = Made()
    probe = MlpProbe(hidden=(8,), learning_rate=(1e30, 1e-2), epochs=4, patience=2)
    answers = list(probing(probe, layer_mix=False).answers(made, made.truth, fits()))
    assert {answer.learning_rate for answer in answers} == {1e-2}
    assert all(np.isfinite(answer.tests[0]).all() for answer in answers)


def test_one_value_is_the_simple_case_of_candidates(tmp_path: Path) -> None:
    def read(lines: str) -> MlpProbe:
        file = tmp_path / "study.toml"
        file.write_text(f'name = "s"\n[[corpora]]\nname = "c"\nmanifest = "c.csv"\n[probe]\nkind = "mlp"\n{lines}\n')
        probe = study.read(file).probe
        assert isinstance(probe, MlpProbe)
        return probe

    assert read("learning_rate = 0.01") == MlpProbe(learning_rate=(0.01,))
    several = read("learning_rate = [0.01, 0.1]\nweight_decay = [0, 1]")
    assert [tuple(one) for one in selection.candidates(several)] == [(0.01, 0), (0.01, 1), (0.1, 0), (0.1, 1)]
    for wrong in ("learning_rate = 0", "weight_decay = [0.1, -1]", "learning_rate = []", "learning_rate = [1, 1]"):
        with pytest.raises(InvalidInput) as error:
            read(wrong)
        assert ":7" in str(error.value) and wrong.split(" ")[0] in str(error.value), str(error.value)
