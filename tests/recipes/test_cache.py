"""`sibboleth cache`: see, verify and empty."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth.errors import SibbolethError
from sibboleth.recipes.cache import clear, size, verify
from sibboleth.recipes.encode import encode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "one.wav", 0.1 * np.random.default_rng(0).standard_normal(12_000), 16_000)
    (tmp_path / "manifest.csv").write_text("audio,speaker\none.wav,s\n")
    for name in ("logmel", "untrained:tiny-wav2vec2"):
        encode(name, tmp_path / "manifest.csv", folder=tmp_path / "cache")
    return tmp_path / "cache"


def test_size_lists_every_encoder(folder: Path, tmp_path: Path) -> None:
    held = {one.encoder: one for one in size(folder=folder).encoders}
    assert set(held) == {"logmel", "untrained:tiny-wav2vec2"}
    assert (held["logmel"].utterances, held["logmel"].layers, held["logmel"].dim) == (1, 1, 131)
    assert sum(one.bytes for one in held.values()) == sum(f.stat().st_size for f in folder.rglob("*.features"))
    assert size(folder=tmp_path / "nothing").encoders == ()


def test_verify_removes_what_is_corrupt(folder: Path) -> None:
    assert verify(folder=folder).title == "every file is sound"
    path = next(folder.rglob("*.features"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert verify(folder=folder).title == "1 corrupt files of 2 were removed"
    assert len(size(folder=folder).encoders) == 1


def test_clear_removes_one_encoder_by_name_or_identity(folder: Path) -> None:
    with pytest.raises(SibbolethError, match="it holds: logmel, untrained:tiny-wav2vec2"):
        clear("wavlm", folder=folder)
    assert [one.encoder for one in clear("logmel", folder=folder).encoders] == ["logmel"]
    (left,) = size(folder=folder).encoders
    clear(left.identity[:12], folder=folder)
    assert size(folder=folder).encoders == ()
