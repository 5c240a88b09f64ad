"""The anchor study's protocol claims, one test each: what its preset does, on corpora made like its own.

Numbers of utterances are observed where the corpora have their real sizes (without audio), trainings on small ones, by
the preset as it is, with small checkpoints where it looks for the large ones.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from peft.tuners.lora import Linear as LoraLinear
from tests import anchor
from tests.recipes.test_run import main_scores, tones
from torch import Tensor, nn

from sibboleth import stimuli
from sibboleth import study as studies
from sibboleth.experiment import material, tuned, tuned_inputs
from sibboleth.experiment.cells import Score
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedWork
from sibboleth.models.adapters.counts import counted
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import load
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.heads import Mlp
from sibboleth.models.tuning.network import Head, Tuned
from sibboleth.models.tuning.tuning import Solving
from sibboleth.recipes import check
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Fits
from sibboleth.study import EncoderSettings

CORPORA = ("esd", "iemocap", "pavoque")
EMOTIONS = ("angry", "happy", "neutral", "sad")
LINEAR = ("k_proj", "q_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense")
KEPT = {"TencentGameMate/chinese-wav2vec2-base": 7, "facebook/wav2vec2-base-de-voxpopuli-v2": 5}
KEPT |= {"facebook/wav2vec2-base-960h": 9}
"""Layers that the study's runs kept within a language: its option --layer, and one."""
TINY = {"hidden_size": 16, "num_hidden_layers": 10, "num_attention_heads": 2, "intermediate_size": 32} | {
    "conv_dim": (8, 8),
    "conv_stride": (10, 32),
    "conv_kernel": (20, 32),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, Fits]:
    """The preset on corpora of the real sizes, whose audio is not looked at."""
    stuff = material.gather(studies.read(anchor.written(tmp_path_factory.mktemp("planned"))), without_audio=True)
    return stuff, check.fits(stuff)


def labels(stuff: Material, rows: np.ndarray) -> Counter[str]:
    return Counter(stuff.table["emotion"].gather(rows.tolist()))


def within(fits: Fits) -> list[Fit]:
    return [fit for fit in fits if fit.then is None and any(test.regime == "within" for test in fit.tests)]


def test_claim_1_every_language_has_as_many_utterances(planned: tuple[Material, Fits]) -> None:
    stuff, fits = planned
    assert dict(stuff.table.group_by("corpus").len().rows()) == dict.fromkeys(CORPORA, 2000)
    assert Counter((fit.source, len(fit.train)) for fit in within(fits)) == {(name, 1600): 5 for name in CORPORA}
    assert {len(fit.then.train) for fit in fits if fit.then is not None} == {1600}


def test_claim_2_every_emotion_has_as_many_utterances(planned: tuple[Material, Fits]) -> None:
    stuff, _ = planned
    counted_ = stuff.table.group_by("corpus", "emotion").len()
    assert set(counted_["emotion"]) == set(EMOTIONS) and set(counted_["len"]) == {500} and len(counted_) == 12


def test_claim_3_five_folds_train_on_400_of_each_emotion(planned: tuple[Material, Fits]) -> None:
    stuff, fits = planned
    own = within(fits)
    assert Counter(fit.source for fit in own) == dict.fromkeys(CORPORA, 5)
    for fit in own:
        assert labels(stuff, fit.train) == dict.fromkeys(EMOTIONS, 400)
        trained, tested = (set(stuff.table["speaker"].gather(rows.tolist())) for rows in (fit.train, fit.tests[0].rows))
        assert len(tested) == (1 if fit.source == "pavoque" else 2)
        assert len(tested & trained) == (1 if fit.source == "pavoque" else 0)
        if fit.source == "iemocap":
            assert stuff.table["session"].gather(fit.tests[0].rows.tolist()).n_unique() == 1


def test_claim_4_200_select_and_200_test(planned: tuple[Material, Fits]) -> None:
    stuff, fits = planned
    for fit in fits:
        dev = fit.dev if fit.then is None else fit.then.dev
        assert labels(stuff, dev) == dict.fromkeys(EMOTIONS, 50)
        for test in fit.tests:
            assert labels(stuff, test.rows) == dict.fromkeys(EMOTIONS, 50)


def test_claim_5_listeners_hear_12_of_each_emotion_that_no_answering_model_has_heard(
    planned: tuple[Material, Fits],
) -> None:
    stuff, fits = planned
    free = stimuli.unheard(fits)
    items = stimuli.drawn(stuff.table, "emotion", 12, columns=["corpus"], rows=free, seed=0)
    assert len(items) == 144 and set(items.group_by("corpus", "emotion").len()["len"]) == {12}
    rows = np.flatnonzero(stuff.table["utterance"].is_in(items["utterance"].implode()))
    answered = Counter[tuple[str, str, int]]()
    for fit in fits:
        for test in fit.tests:
            mine = np.intersect1d(rows, test.rows)
            assert not np.isin(mine, np.concatenate(fit.heard)).any()
            answered.update((fit.source, test.regime, row) for row in mine.tolist())
    assert set(answered.values()) == {1}
    assert items.filter(corpus="esd")["speaker"].n_unique() == 10


def test_claim_6_segments_are_8_of_each_of_three_emotions() -> None:
    counts = {"angry": 52, "happy": 62, "sad": 66}  # of ZED, by 73 speakers
    names = [(label, number) for label, count in counts.items() for number in range(count)]
    table = pl.DataFrame(
        {
            "utterance": [f"{label}{number}" for label, number in names],
            "speaker": [f"spk{place % 73}" for place in range(len(names))],
            "session": pl.Series([None] * len(names), dtype=pl.String),
            "emotion": [label for label, _ in names],
        }
    )
    items = stimuli.drawn(table, "emotion", 8, seed=0)
    assert len(items) == 24 and Counter(items["emotion"]) == dict.fromkeys(counts, 8)


@dataclass(frozen=True)
class Small:
    """The preset on small corpora with audio, and small checkpoints."""

    stuff: Material
    works: dict[tuple[str, str], TunedWork]
    """By the encoder's published name, and the method."""
    folder: Path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("small")
    for number, name in enumerate(KEPT):
        (folder / name).mkdir(parents=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**TINY)).save_pretrained(folder / name)
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder / name)
    study = studies.read(anchor.written(folder, 0.012, audio=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        stuff = material.gather(study)
        fits = check.fits(stuff)
        made = [one for asked in study.encoders for one in tuned.works(study, asked, load(asked), fits, 4)]
        names = itertools.product(KEPT, (method.name for method in study.methods))
        yield Small(stuff, dict(zip(names, made, strict=True)), folder)


@dataclass
class Observed:
    """What a training did."""

    log: list[dict[str, Any]]
    steps: list[list[tuple[int, float, float, float]]]
    """Learning rate, epsilon and weight decay of each group of the optimiser, with its tensors' dimensions."""
    batches: list[int]
    losses: list[tuple[float, float]]
    """As the training had it, and the cross-entropy of what the network said."""


def trained(small: Small, rises: bool, rows: int, patch: pytest.MonkeyPatch, folder: Path) -> Observed:
    """Train once on some rows; each epoch makes dev's loss higher or lower.

    It rises where dev is what the untrained head says most already, and falls where all rows are what it says least.
    """
    work = small.works["facebook/wav2vec2-base-de-voxpopuli-v2", "lora+bottleneck+gate"]
    patch.setenv("SIBBOLETH_CACHE", str(small.folder / "cache"))
    given = tuned_inputs.inputs(work, small.stuff, Cache()).inputs
    fit = next(fit for cell in work.cells if cell.source == "esd" for fit in cell.fits if fit.then is None)
    fit = replace(fit, train=fit.train[:: len(fit.train) // rows][:rows], tests=fit.tests[:1])
    network, _ = work.tuning.network(work.encoder, 0)
    with torch.no_grad():
        said = network.eval().outputs(given.batch(fit.dev)).mean(0)
    given.truth = given.truth.copy()
    changed = fit.dev if rises else np.arange(len(given.truth))
    given.truth[changed] = np.eye(4)[int(said.argmax() if rises else said.argmin())]
    observed = Observed([], [], [], [])
    step, forward, outputs = torch.optim.AdamW.step, Tuned.forward, Tuned.outputs
    told: list[Tensor] = []

    def stepped(self: torch.optim.AdamW, *given: Any, **more: Any) -> Any:
        groups = [(g["params"][0].ndim, g["lr"], g["eps"], g["weight_decay"]) for g in self.param_groups]
        observed.steps.append(groups)
        return step(self, *given, **more)

    def said_(self: Tuned, batch: Any) -> Tensor:
        told.append(outputs(self, batch))
        return told[-1]

    def passed(self: Tuned, batch: Any) -> dict[str, Tensor]:
        loss = forward(self, batch)
        observed.batches.append(len(batch.truth))
        expected = nn.functional.cross_entropy(told[-1], batch.truth.argmax(1))
        observed.losses.append((loss["loss"].item(), expected.item()))
        return loss

    patch.setattr(torch.optim.AdamW, "step", stepped)
    patch.setattr(Tuned, "forward", passed)
    patch.setattr(Tuned, "outputs", said_)
    solving = Solving(work.tuning, work.encoder, given, [fit], Score(small.stuff), folder)
    for _ in solving:
        pass
    observed.log = solving.log
    return observed


def test_claim_7_head_and_optimiser(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for work in small.works.values():
        head = Head(768, work.tuning.method.head, 4, 0)
        assert [(one.in_features, one.out_features) for one in head if isinstance(one, nn.Linear)] == [
            (768, 128),
            (128, 16),
            (16, 4),
        ]
        assert sum(one.numel() for one in head.parameters()) == 100_564
    assert Mlp(768, small.stuff.study.probe.hidden, 4).size == 100_564, "the layer-wise head is the same"
    observed = trained(small, True, 24, monkeypatch, tmp_path)
    assert len(observed.steps) >= 2 * 11
    for groups in observed.steps:  # at every step: nothing rises or falls
        assert {(rate, epsilon) for _, rate, epsilon, _ in groups} == {(1e-4, 1e-8)}
        assert {(dims > 1, decay) for dims, _, _, decay in groups} == {(True, 1e-5), (False, 0.0)}


def test_claim_8_cross_entropy_and_a_patience_of_10(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    observed = trained(small, True, 24, monkeypatch, tmp_path)
    for had, expected in observed.losses:
        assert had == pytest.approx(expected, rel=1e-5)
    best = min(observed.log, key=lambda row: row["dev_loss"])["epoch"]
    assert len(observed.log) == best + 10 < 100
    assert [row["epoch"] for row in observed.log if row["selected"]] == [best]


def test_claim_9_all_methods_have_the_same_head(small: Small) -> None:
    for encoder in KEPT:
        first, second = (
            work.tuning.network(work.encoder, 0)[0].head for (name, _), work in small.works.items() if name == encoder
        )
        assert [type(one) for one in first] == [type(one) for one in second]
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(one, other)


def test_claim_10_lora_is_in_all_linear_layers_of_all_kept_layers(small: Small) -> None:
    for (encoder, _), work in small.works.items():
        stack = work.tuning.network(work.encoder, 0)[0].stack
        assert stack is not None and len(stack.layers) == KEPT[encoder]
        found = {name: one for name, one in stack.model.named_modules() if isinstance(one, LoraLinear)}
        places = [(int(m[1]), name.rpartition(".")[2]) for name in found if (m := re.search(r"layers\.(\d+)\.", name))]
        assert sorted(places) == sorted(itertools.product(range(KEPT[encoder]), LINEAR))
        for one in found.values():
            assert one.scaling["default"] == 2.0
            assert one.lora_A["default"].out_features == one.lora_B["default"].in_features == 8
            assert one.lora_dropout["default"].p == 0.1


def test_claim_11_bottlenecks_are_a_sixteenth(small: Small) -> None:
    base = load(EncoderSettings(name="untrained:wav2vec2-base"))
    assert isinstance(base, Transformer)
    for (_, name), work in small.works.items():
        of_base = dict(counted(work.tuning.method.model_copy(update={"layers": 7}), base).trained)
        expected = {"lora": 7 * 110_592}
        if name != "lora":  # 768 to 48 to 768, and a factor for each of 768
            expected |= {"bottleneck": 7 * (768 * 48 + 48 + 48 * 768 + 768), "gate": 7 * 768}
        assert of_base == expected
        stack = work.tuning.network(work.encoder, 0)[0].stack
        assert stack is not None
        for one in stack.bottlenecks.values():
            assert (one.down.in_features, one.down.out_features, one.up.out_features) == (16, 1, 16)
            assert not one.parallel and one.up.weight.abs().max() > 0, "as its code begins"
        for gate in stack.gates.values():
            assert torch.allclose(gate(torch.ones(1, 1, 16)), torch.full((1, 1, 16), 0.7310586))


def test_claim_12_100_epochs_of_batches_of_16(small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    observed = trained(small, False, 20, monkeypatch, tmp_path)
    assert [row["epoch"] for row in observed.log] == list(range(1, 101))
    assert observed.batches == [16, 4] * 100


STUDY = """
name = "small"
domain = "language"
regimes = ["within", "zero-shot"]
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "untrained:tiny-wav2vec2"
[training]
epochs = 12
learning_rate = 0.005
batch_size = 16
[splits]
folds = 2
dev = 0.34
[statistics]
resamples = 500
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The preset's methods, trained faster, on two languages that say the same by opposite means."""
    folder = tmp_path_factory.mktemp("results")
    text = anchor.written(folder).read_text()
    methods = re.sub(r"\[methods\.layers\]\n(\".*\n)+", "", text[text.index("[[methods]]") :])
    (folder / "small.toml").write_text(STUDY + methods)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        tones(folder, flipped=("bb",), speakers=10, each=2)
        run(folder / "small.toml", output=folder / "run")
    return RunDirectory(folder / "run")


def test_claim_13_a_strong_result_within_a_language_is_one_above_chance_with_its_interval(
    results: RunDirectory,
) -> None:
    own = main_scores(results).filter("tuned", regime="within")
    assert len(own) == 4 and set(own["method"]) == {"lora", "lora+bottleneck+gate"}
    assert (own["low"] > results.read()["chance"]).all() and (own["estimate"] > 0.8).all()


def test_claim_14_a_drop_across_languages_is_a_paired_difference(results: RunDirectory) -> None:
    tuned_ = results.table("cells").filter("tuned")["run"]
    drops = results.table("comparisons").filter(
        pl.col("family") == "zero-shot against within", pl.col("a_run").is_in(tuned_.implode())
    )
    assert len(drops) == 4
    assert (drops["difference"] < -0.3).all() and (drops["high"] < 0).all()
    assert (drops["p_holm"] < 0.05).all()
