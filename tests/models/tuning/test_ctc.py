"""CTC: losses by torch, greedy answers by a plain loop, what a text needs, masks, and heads that learn side by side."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sibboleth.methods import HeadSettings, TuningSettings
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning import ctc
from sibboleth.models.tuning.course import Place
from sibboleth.models.tuning.epochs import epochs
from sibboleth.models.tuning.inputs import Inputs
from sibboleth.models.tuning.masking import Masking, drawn
from sibboleth.models.tuning.network import Head
from sibboleth.models.tuning.transcriber import Transcriber

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ([1, 2, 2, 3], [4], [], [3, 1, 2])
LENGTHS = (9, 4, 7, 2)
TRUTH = np.full((4, 4), -1.0)
for _row, _text in enumerate(TEXTS):
    TRUTH[_row, : len(_text)] = _text


def logits() -> torch.Tensor:
    return torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(0)) * 3


def test_losses_are_those_of_torch_row_by_row() -> None:
    said = logits()
    found = ctc.losses(said, torch.tensor(LENGTHS), torch.from_numpy(TRUTH))
    by_torch = nn.CTCLoss(reduction="mean", zero_infinity=True)
    for row, (text, length) in enumerate(zip(TEXTS, LENGTHS, strict=True)):
        alone = said[row : row + 1, :length].log_softmax(-1).transpose(0, 1)
        target = torch.tensor([text], dtype=torch.long).reshape(1, -1)
        wanted = by_torch(alone, target, torch.tensor([length]), torch.tensor([len(text)]))
        assert float(found[row]) == pytest.approx(float(wanted), rel=1e-5)
    assert float(found[3]) == 0, "two frames cannot spell three tokens"


def test_losses_are_those_of_all_paths_written_out() -> None:
    said = logits()[:1, :4]
    shares = said.softmax(-1)[0]
    total = 0.0
    for path in itertools.product(range(5), repeat=4):
        spelt = [token for token, _ in itertools.groupby(path) if token]
        total += float(np.prod([float(shares[frame, token]) for frame, token in enumerate(path)])) * (spelt == [2, 3])
    found = ctc.losses(said, torch.tensor([4]), torch.tensor([[2.0, 3.0, -1.0]]))
    assert float(found[0]) == pytest.approx(-np.log(total) / 2, rel=1e-4)


def test_tokens_without_an_output_are_left_out_of_the_loss() -> None:
    said, lengths = logits()[:1], torch.tensor([9])
    known = ctc.losses(said, lengths, torch.tensor([[1.0, 3.0]]))
    assert torch.equal(ctc.losses(said, lengths, torch.tensor([[1.0, 7.0, 3.0]])), known)


def test_greedy_answers_are_those_of_a_plain_loop() -> None:
    said = torch.randn(200, 12, 4, generator=torch.Generator().manual_seed(1))
    lengths = torch.randint(1, 13, (200,), generator=torch.Generator().manual_seed(2))
    found = ctc.greedy(said, lengths)
    for row, length in enumerate(lengths.tolist()):
        plain, before = [], 0
        for token in said[row, :length].argmax(-1).tolist():
            if token and token != before:
                plain.append(token)
            before = token
        assert [one for one in found[row].tolist() if one != ctc.END] == plain
        assert found[row].tolist()[: len(plain)] == plain


def test_a_text_needs_a_frame_per_token_and_one_between_equals() -> None:
    needed = ctc.needed(TRUTH)
    assert needed.tolist() == [5, 1, 0, 3]
    said = logits()
    for row, (text, frames) in enumerate(zip(TEXTS, needed.tolist(), strict=True)):
        if not text:
            continue
        enough = ctc.losses(said[row : row + 1], torch.tensor([frames]), torch.from_numpy(TRUTH[row : row + 1]))
        fewer = ctc.losses(said[row : row + 1], torch.tensor([frames - 1]), torch.from_numpy(TRUTH[row : row + 1]))
        assert float(enough) > 0 and (frames == 1 or float(fewer) == 0)


def test_masks_count_as_fairseq_counts() -> None:
    torch.manual_seed(0)
    spans = drawn([200] * 400, 200, 0.65, 10)
    begun = spans.float().mean()
    # 13 of 191 places begin a span of 10; frame by frame this hides a little under half.
    assert 0.44 < float(begun) < 0.50
    assert torch.equal(drawn([5, 0], 8, 1.0, 10)[:, 5:], torch.zeros(2, 3, dtype=torch.bool)), "only own frames"
    fewer = drawn([200] * 4000, 200, 0.02, 10).sum(1).float()
    assert float(fewer.mean()) == pytest.approx(0.02 * 200, rel=0.1), "0.4 spans a row on average"
    frames = torch.ones(3, 50, 128)
    hidden = Masking(0.0, 10, features=0.25, features_length=32).hidden(frames, torch.full((3,), 50))
    assert torch.equal(hidden[:, :1].expand_as(hidden), hidden), "all frames lose the same numbers"
    assert all(int((row[0] == 0).sum()) == 32 for row in hidden)
    assert torch.equal(Masking(0.0, 10).hidden(frames, torch.full((3,), 50)), frames)


class Spelt(Inputs):
    """Two hidden states: the first spells each text frame by frame, the second is noise."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        texts = [random.permutation([1, 2, 3])[: random.integers(1, 4)] for _ in range(60)]
        truth = np.full((60, 3), -1.0)
        for row, text in enumerate(texts):
            truth[row, : len(text)] = text
        super().__init__(truth, np.full(60, 1.0))
        self.states = torch.from_numpy(random.normal(0, 0.3, (60, 2, 9, 6)).astype(np.float32))
        for row, text in enumerate(texts):
            for place, token in enumerate(text):
                self.states[row, 0, 3 * place : 3 * place + 2, int(token)] += 3

    def load(self, rows: np.ndarray, random: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.states[rows], torch.full((len(rows),), 9)


class Second(Spelt):
    """One of the two alone."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.states = self.states[:, layer : layer + 1]


def error(truth: np.ndarray, answers: np.ndarray) -> float:
    said = [[token for token in row if token > 0] for row in answers.tolist()]
    true = [[token for token in row if token > 0] for row in truth.tolist()]
    return float(np.mean([a != b for a, b in zip(said, true, strict=True)]))


def trained(inputs: Inputs, layers: int, folder: Path, stop: int | None = None) -> courses.Course:
    heads = [Head(6, HeadSettings(), 4, 0) for _ in range(layers)]
    network = Transcriber(None, heads, layers, 6, mixed=0, out=4, trains_front=False, masking=Masking(0.0, 1))
    settings = TuningSettings(
        epochs=12, learning_rate=0.1, batch_seconds=10, clip=float("inf"), select="metric", save=1e-9
    )
    rows = np.arange(40), (np.arange(40, 50), np.arange(50, 60))
    course = courses.course(network, inputs, *rows, settings, error, 0, better=-1)
    for steps, _ in enumerate(courses.run(course, Place.of(network, False), folder, {}, 0), 1):
        if steps == stop:
            break
    return course


def test_heads_side_by_side_learn_and_choose_as_each_alone(tmp_path: Path) -> None:
    both = trained(Spelt(), 2, tmp_path / "both")
    for layer in (0, 1):
        alone = trained(Second(layer), 1, tmp_path / str(layer))
        for dev in (0, 1):
            assert both.watches[2 * dev + layer].epoch == alone.watches[dev].epoch
            mine, theirs = both.chosen(dev), alone.chosen(dev)
            assert torch.allclose(mine[f"head.{layer}.0.weight"], theirs["head.0.weight"], atol=1e-6)
    best = [one.best[0] for one in both.watches if one.best]
    assert best[0] == best[2] == 0 and max(best[1], best[3]) < -0.5, "the head that hears the text spells it"


def test_the_loop_takes_the_steps_of_a_plain_one(tmp_path: Path) -> None:
    inputs, settings = Second(0), TuningSettings(epochs=6, patience=6, learning_rate=0.03, head_rate=0.1, batch_size=7)
    network = Transcriber(None, [Head(6, HeadSettings(), 4, 0)], 1, 6, mixed=0, out=4, trains_front=False,
                          masking=Masking(0.0, 1))  # fmt: skip
    course = courses.course(network, inputs, np.arange(40), [np.arange(40, 60)], settings, error, 0, better=-1)
    for _ in courses.run(course, Place.of(network, False), tmp_path, {}, 0):
        pass

    (plain,) = Head(6, HeadSettings(), 4, 0)
    kinds = [{"params": [plain.weight], "weight_decay": 0.01}, {"params": [plain.bias], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(kinds)
    batches = epochs(np.arange(40), inputs.seconds, None, settings, 0, 6).batches
    rising = round(0.1 * len(batches))
    for step, rows in enumerate(batches):
        up, down = (step + 1) / rising, (len(batches) - step) / (len(batches) - rising)
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * min(up, down)
        said = plain(inputs.states[rows, 0]).log_softmax(-1).transpose(0, 1)
        texts = [[int(token) for token in row if token > 0] for row in inputs.truth[rows]]
        lengths = torch.tensor([len(text) for text in texts])
        tokens = torch.tensor([token for text in texts for token in text])
        # torch's own mean: each row's loss by its number of tokens.
        loss = nn.functional.ctc_loss(said, tokens, torch.full((len(rows),), 9), lengths, reduction="mean")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
    learnt = network.trained()
    assert torch.allclose(learnt["head.0.weight"], plain.weight, atol=1e-5)
    assert torch.allclose(learnt["head.0.bias"], plain.bias, atol=1e-5)


def test_a_transcription_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = trained(Spelt(), 2, tmp_path / "whole")
    trained(Spelt(), 2, tmp_path / "cut", stop=17)
    again = trained(Spelt(), 2, tmp_path / "cut")
    assert all(torch.equal(again.network.trained()[name], one) for name, one in whole.network.trained().items())
    assert again.watches == whole.watches
