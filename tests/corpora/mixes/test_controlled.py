"""Mixes of the controlled corpus, whose phone times are known: no phone is cut off, boundaries lie between phones."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from scipy import signal

from sibboleth.corpora.mixes import pieces
from sibboleth.corpora.mixes.corpus import Mixing, prepare
from sibboleth.corpora.mixes.pieces import PAD, RATE
from sibboleth.corpora.synthetic import corpus as synthetic
from sibboleth.corpora.synthetic.design import Design
from sibboleth.corpus import Corpus


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, pl.DataFrame]:
    pytest.importorskip("espeakng_loader")
    root = tmp_path_factory.mktemp("controlled")
    made = synthetic.prepare(
        root, Design(languages=("en", "nl"), speakers=2, utterances=1, sentences=4, accented=0), workers=1
    )
    return made, synthetic.segments(root)


def test_no_phone_of_the_controlled_corpus_is_cut_off(controlled: tuple[Corpus, pl.DataFrame]) -> None:
    made, said = controlled
    phones = (
        said.filter(pl.col("tier") == "phone").group_by("utterance").agg(pl.col("start").min(), pl.col("end").max())
    )
    times = {name: (start, end) for name, start, end in phones.iter_rows()}
    usable, left_out = pieces.measure(made.table, "emotion")
    assert len(usable) == len(made.table) and not len(left_out)
    for piece in usable:
        start, end = times[piece.utterance]
        assert piece.first / RATE == pytest.approx(start - PAD, abs=0.04)
        assert piece.last / RATE == pytest.approx(end + PAD, abs=0.15)  # voices die away before a last phone's end


def test_a_boundary_lies_where_one_utterance_has_ended_and_the_next_has_not_begun(
    controlled: tuple[Corpus, pl.DataFrame], tmp_path: Path
) -> None:
    """Where utterances are in a mix is found anew, by correlation, and with them their phones."""
    made, said = controlled
    audio = dict(made.table.select("utterance", "audio").iter_rows())
    starts = dict(said.filter(pl.col("tier") == "phone").group_by("utterance").agg(pl.col("start").min()).iter_rows())
    for row in prepare(tmp_path, made, Mixing(count=12)).corpus.table.iter_rows(named=True):
        mixed, _ = soundfile.read(row["audio"])
        places = {}
        for one in json.loads(row["sources"]):
            whole, _ = soundfile.read(audio[one["utterance"]])
            lag = int(np.argmax(signal.correlate(mixed, whole[1600:-1600], "valid"))) - 1600
            places[one["utterance"]] = lag
        told = json.loads(row["segments"])
        assert len(told) == len(places)
        for segment, (name, lag) in list(zip(told, places.items(), strict=True))[1:]:
            assert segment["start"] == pytest.approx(lag / RATE + starts[name] - PAD + 0.01, abs=0.04)
