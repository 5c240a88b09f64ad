"""The seed question in the controlled corpus: Dutch is learnt, accents are worse, and the report says which encoder."""

import html
import re
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from sibboleth import study as studies
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory


def test_the_demo_trains_on_native_speakers_and_asks_both_languages(tmp_path: Path) -> None:
    study = studies.read(written(tmp_path))
    assert [one.name for one in study.encoders] == ["sibboleth-tiny-en", "sibboleth-tiny-nl"]
    assert study.domain == "accent" and study.splits.scheme == "file"
    assert study.regimes == ("within", "zero-shot") and study.target.kind == "transcription"


def written(folder: Path) -> Path:
    text = resources.files("sibboleth.recipes").joinpath("demo-accents.toml").read_text(encoding="utf-8")
    path = folder / "accents.toml"
    path.write_text(text)
    return path


@pytest.mark.soak
def test_dutch_is_learnt_accents_are_worse_and_the_answer_compares_the_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "cache"))
    prepare("synthetic-accents", tmp_path / "accents")
    page = run(written(tmp_path), output=tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    scores = directory.table("scores").join(directory.table("cells"), on="run")
    main = scores.filter(metric="wer", slice="all", rater="selected", method="three-layers")
    native = main.filter(domain="native")
    assert len(native) == 2 and (native["estimate"] < 0.35).all() and native["estimate"].min() < 0.3, native  # type: ignore[operator]
    found = directory.table("pretrained").filter(method="three-layers")
    gaps = found.filter(pl.col("contrast").is_in(["gap of a", "gap of b"]))
    assert len(gaps) == 8, "three accents and all together, for both encoders"
    assert (gaps["low"] > 0).all(), "coloured speech is recognised worse, without doubt"
    assert set(found.filter(contrast="difference")["domain"]) == {"native", "de", "en", "fr", None}
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))
    answer = text[text.index("The answer") : text.index("Pre-trained on which language")]
    assert "Pre-trained on nl rather than en" in answer
    assert re.search(r"in native (better|worse|not told apart) \(WER", answer)
    assert "From native to all others WER changes by" in answer
    assert "shared-sentences" in text, "all know the same 24 sentences, and the page says so"
