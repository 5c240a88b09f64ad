"""Signs of health, and a collapse that is seen in time."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from sibboleth.models.pretraining.objective import perplexity, rank
from sibboleth.models.pretraining.watch import PATIENCE, Collapsed, Vital, watch

VITALS = (
    Vital("rank", "all lie on a line", "Lower the rate", least=2.0),
    Vital("same", "one code", "Mend it", most=0.9),
)


def rows(ranks: list[float], **more: list[float]) -> list[dict[str, float]]:
    return [
        {"step": 10.0 * (k + 1), "rank": value, **{name: some[k] for name, some in more.items()}}
        for k, value in enumerate(ranks)
    ]


def test_effective_rank_is_the_exponential_of_the_spectrums_entropy() -> None:
    rng = np.random.default_rng(0)
    for dims in (1, 3, 8):
        frames = rng.normal(size=(500, dims)) @ rng.normal(size=(dims, 12)) + 5
        values = np.linalg.eigvalsh(np.cov(frames.T, bias=True)).clip(0)
        found = float(rank(torch.from_numpy(frames).float()[None]))
        assert found == pytest.approx(np.exp(entropy(values / values.sum())), rel=1e-2)
    assert float(rank(torch.ones(2, 40, 6))) == pytest.approx(1.0, abs=0.01)
    assert float(rank(torch.randn(1, 2000, 5))) == pytest.approx(5, rel=0.02)


def test_rank_looks_at_some_of_many_frames_without_changing_much() -> None:
    frames = torch.from_numpy(np.random.default_rng(1).normal(size=(20, 1000, 16)) * np.arange(1, 17)).float()
    assert float(rank(frames)) == pytest.approx(float(rank(frames, most=20_000)), rel=0.03)


def test_perplexity_counts_codes_in_use() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(30), size=50)
    assert float(perplexity(torch.from_numpy(shares))) == pytest.approx(np.exp(entropy(shares.mean(0))), rel=1e-4)
    assert float(perplexity(torch.eye(7))) == pytest.approx(7) and float(perplexity(torch.eye(7)[:1])) == 1.0


def test_a_collapse_is_caught_with_what_is_wrong_and_what_to_do() -> None:
    seen = rows([5.0] * 4 + [1.0] * PATIENCE, same=[0.1] * (4 + PATIENCE))
    for end in range(len(seen)):
        watch(seen[:end], VITALS, after=0)
    with pytest.raises(
        Collapsed, match=r"rank is 1 at step 90, and a healthy one has at least 2; all lie on a line. Lo"
    ):
        watch(seen, VITALS, after=0)
    with pytest.raises(Collapsed, match=r"same is 0.95 .* at most 0.9"):
        watch(rows([5.0] * PATIENCE, same=[0.95] * PATIENCE), VITALS, after=0)
    assert Collapsed.exit_code == 1


def test_what_is_no_number_is_not_healthy() -> None:
    with pytest.raises(Collapsed, match="rank is nan"):
        watch(rows([float("nan")] * PATIENCE), VITALS, after=0)


def test_a_healthy_run_a_bad_moment_and_the_warm_up_go_on() -> None:
    watch(rows([5.0] * 50, same=[0.5] * 50), VITALS, after=0)
    watch(rows([1.0, 1.0, 1.0, 1.0, 2.5] * 10), VITALS, after=0)
    collapsed = rows([1.0] * 12)
    for end in range(12):
        watch(collapsed[:end], VITALS, after=80)
    watch(collapsed, VITALS, after=80)
    with pytest.raises(Collapsed):
        watch(collapsed, VITALS, after=70)
    watch(rows([5.0] * 9), (Vital("entropy", "", "", least=1.0),), after=0)
