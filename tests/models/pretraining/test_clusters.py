"""Clusters of frames: scikit-learn's own, kept, and remade when anything else is asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans

from sibboleth import audio
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.models.pretraining import clusters
from sibboleth.models.pretraining.clusters import Frame
from sibboleth.models.pretraining.mfcc import mfcc
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.pretraining import Pretraining, TargetFeatures
from sibboleth.study import EncoderSettings

Make = Callable[..., Pretraining]
FRAME = Frame(rate=16_000, hop=320, field=400)


def heard(gathered: Pieces) -> list[np.ndarray]:
    return [audio.read(path, 16_000)[0] for path in gathered.table["audio"]]


def test_labels_are_what_scikit_learn_predicts(gathered: Pieces, tmp_path: Path) -> None:
    found, facts = clusters.labels(TargetFeatures(clusters=8), gathered, FRAME, 1.0, 3, tmp_path / "c")
    frames = [mfcc(one, 16_000, 320, 400, FRAME.count(len(one))) for one in heard(gathered)]
    order = np.random.default_rng([3, 2]).permutation(len(frames))
    together = np.concatenate([frames[k] for k in order])
    mean, scale = together.mean(0), 1 / together.std(0)
    model = MiniBatchKMeans(8, random_state=3, batch_size=10_000, n_init=20)
    model.partial_fit(((together - mean) * scale)[np.random.default_rng([3, len(together)]).permutation(len(together))])
    expected = [model.predict((one - mean) * scale) for one in frames]
    assert found.every.tolist() == np.concatenate(expected).tolist()
    assert found.firsts.tolist() == [0, *np.cumsum([len(one) for one in frames])]
    share = np.bincount(found.every, minlength=8) / len(found.every)
    entropy = -sum(p * np.log(p) for p in share if p > 0)
    assert facts["perplexity"] == pytest.approx(np.exp(entropy)) and facts["used"] == (share > 0).sum()


def test_clusters_are_kept_and_made_anew_for_anything_else(
    gathered: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TargetFeatures(clusters=8)
    first, facts = clusters.labels(target, gathered, FRAME, 1.0, 0, tmp_path / "c")
    kept = first.every.tolist()

    def read(*_: object) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(clusters, "_read", read)
        again, told = clusters.labels(target, gathered, FRAME, 1.0, 0, tmp_path / "c")
        assert again.every.tolist() == kept and told == facts
        for changed in ((TargetFeatures(clusters=5), 1.0, 0), (target, 0.001, 0), (target, 1.0, 1)):
            with pytest.raises(AssertionError, match="read again"):
                clusters.labels(changed[0], gathered, FRAME, changed[1], changed[2], tmp_path / "c")
    fewer, _ = clusters.labels(TargetFeatures(clusters=5), gathered, FRAME, 1.0, 0, tmp_path / "c")
    assert set(fewer.every.tolist()) <= set(range(5))


def test_an_encoders_layer_can_be_clustered(gathered: Pieces, tmp_path: Path) -> None:
    target = TargetFeatures(features="untrained:tiny-hubert", layer=2, clusters=6)
    found, facts = clusters.labels(target, gathered, FRAME, 1.0, 0, tmp_path / "c")
    encoder = load(EncoderSettings(name=target.features))
    frames = np.concatenate([encoder.hidden_states(one)[2] for one in heard(gathered)])
    assert facts["asked"]["features"] == f"{encoder.identity}:2" and len(found.every) == len(frames)
    # Frames of one cluster lie closer together than frames of all.
    spread = sum(((frames[found.every == k] - frames[found.every == k].mean(0)) ** 2).sum() for k in range(6))
    assert spread < 0.9 * ((frames - frames.mean(0)) ** 2).sum()


def test_frames_of_another_stride_are_those_nearest_in_time() -> None:
    other = np.arange(100, dtype=np.float32)[:, None]  # one each 10 ms
    found = clusters.nearest(other, 16_000, FRAME, 49)[:, 0]
    middles = (np.arange(49) * 320 + 200) / 16_000
    assert np.abs((found + 0.5) / 100 - middles).max() <= 0.005 + 1e-9


def test_too_few_frames_and_features_that_there_are_not_are_refused(gathered: Pieces, tmp_path: Path) -> None:
    cases = {
        r"frames are too few for 5000 clusters; give more speech or fewer": TargetFeatures(clusters=5000),
        r"mfcc has no layer 3; leave `layer` out": TargetFeatures(layer=3),
        r"has the layers 0 to 4, not 9": TargetFeatures(features="untrained:tiny-hubert", layer=9),
        r"no such architecture": TargetFeatures(features="untrained:tiny-nothing"),
    }
    for said, target in cases.items():
        with pytest.raises(SibbolethError, match=said):
            clusters.labels(target, gathered, FRAME, 1.0, 0, tmp_path / "c")
    with pytest.raises(SibbolethError, match=r"hears 16000 Hz, not 8000 Hz"):
        clusters.labels(
            TargetFeatures(features="logmel"), gathered, Frame(rate=8000, hop=160, field=200), 1, 0, tmp_path
        )


def test_more_clusters_than_frames_in_a_step_of_k_means(
    gathered: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "BATCH", 20)
    found, _ = clusters.labels(TargetFeatures(clusters=40), gathered, FRAME, 1.0, 0, tmp_path / "c")
    assert len(set(found.every.tolist())) > 20
