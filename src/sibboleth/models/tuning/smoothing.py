"""Smoothing: how each head's answers about frames are made into segments, chosen on dev once its weights are chosen."""

from collections.abc import Sequence

import numpy as np
import torch

from sibboleth.models.decoding import choosing
from sibboleth.models.decoding.choosing import Choosing
from sibboleth.models.decoding.decoders import Argmax, Posteriors
from sibboleth.models.decoding.timelines import unpacked
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning.course import Course
from sibboleth.models.tuning.epochs import Rows, by_length
from sibboleth.models.tuning.network import Tuned
from sibboleth.models.tuning.segmenter import Segmenter


def learn(going: Course, train: Rows, dev: Rows, kinds: Sequence[str], background: int | None) -> None:
    """Choose each head's decoder, of some kinds, by what it says of `dev`; transitions are those of `train`.

    Nothing of a network that makes no segments.
    """
    network = going.network
    if not isinstance(network, Segmenter):
        return
    truth = going.inputs.truth
    said = posteriors(going, dev)
    stride = network.stride or float(np.mean([row[0] for row in truth[dev]]) / np.mean([len(one) for one in said[0]]))
    trained = list(unpacked(truth[train]))
    decoders = list(choosing.candidates(kinds, trained, len(network.label_weights), background, stride))
    several = [Choosing(own, truth[dev], going.score, going.better, network.stride) for own in said]
    if background is None or choosing.WEIGHED not in kinds:
        network.decoders = [one.best(decoders) for one in several]
    else:
        network.decoders = [one.weighed(decoders, background) for one in several]


def name(network: Tuned, voice: int) -> str:
    """Name the decoder of a head; nothing of a network that makes no segments."""
    return str(network.decoders[voice]) if isinstance(network, Segmenter) else ""


def forget(network: Tuned) -> None:
    """Decode as during training again."""
    if isinstance(network, Segmenter):
        network.decoders = [Argmax()] * network.voices


@torch.no_grad()
def posteriors(going: Course, rows: Rows) -> list[list[Posteriors]]:
    """Return what each head says of rows in their order, `[frame, label]` each, without dropout."""
    network = going.network
    assert isinstance(network, Segmenter)
    device, before = next(network.parameters()).device, network.training
    network.eval()
    place = {int(row): index for index, row in enumerate(rows)}
    found: list[list[Posteriors]] = [[np.empty((0, 0), np.float32)] * len(rows) for _ in range(network.voices)]
    with torch.autocast(device.type, torch.bfloat16, enabled=courses.bfloat16(going.settings)):
        for some in by_length(rows, going.inputs.seconds, going.settings.batch_seconds):
            for voice, said in enumerate(network.posteriors(going.inputs.batch(some).to(device))):
                for row, own in zip(some, said, strict=True):
                    found[voice][place[int(row)]] = own
    network.train(before)
    return found
