"""How a trained model is loaded without sibboleth: a program for its card, as far as plain transformers and peft go."""

from collections.abc import Iterator

from sibboleth.models.tuning.record import ModelRecord
from sibboleth.targets import FRAMED

ONLY_HERE = "weight gates or bottleneck adapters"


def only_here(record: ModelRecord) -> bool:
    """Tell whether what was trained has no place in transformers and peft."""
    return record.method.gate is not None or record.method.bottleneck is not None


def told(record: ModelRecord) -> Iterator[str]:
    """Write the program with what must be said of it."""
    if only_here(record):
        yield (
            "Plain transformers and peft have no place for this method's weight gates or bottleneck adapters (they are "
            "in `head.safetensors`, under `stack.`), so they give other hidden states than the head was trained on:"
        )
    elif record.encoder.whole == 0:
        yield "The frames of its encoder, without the embedding and the head, with plain transformers:"
    else:
        yield "The same with plain transformers and peft, for audio `[sample]` at the encoder's rate, up to 30 s:"
    yield from ("", "```python", *_program(record), "```", "")
    if record.encoder.family == "wavlm" and record.method.lora is not None:
        yield (
            "transformers' own WavLM passes by peft's updates of its attention, because it takes the weights out of "
            "these layers: they count only after `merge_and_unload()`."
        )
        yield ""
    if _normed(record):
        yield (
            "transformers puts Whisper's final norm behind whichever layer is last. This model lacks the layers above "
            f"{record.encoder.layers}, and its head hears that layer without the norm: hence the `Identity`."
        )
        yield ""


def limits(record: ModelRecord) -> Iterator[str]:
    """Say where plain transformers and peft fall short."""
    if record.encoder.copied and only_here(record):
        yield f"Plain transformers and peft cannot apply its {ONLY_HERE}; sibboleth does."
    if record.encoder.copied and record.encoder.family == "whisper":
        yield "The decoder that transformers makes beside Whisper's encoder is not in the folder, and random."


def _normed(record: ModelRecord) -> bool:
    return record.encoder.family == "whisper" and record.encoder.layers < record.encoder.whole


def _program(record: ModelRecord) -> Iterator[str]:
    whisper, whole = record.encoder.family == "whisper", not only_here(record) and record.encoder.whole > 0
    lora = record.method.lora is not None
    yield "import torch"
    if lora:
        yield "from peft import PeftModel"
    if whole:
        yield "from safetensors.torch import load_file"
    yield "from transformers import AutoFeatureExtractor, AutoModel"
    yield ""
    yield 'extractor = AutoFeatureExtractor.from_pretrained("FOLDER/encoder")'
    yield 'encoder = AutoModel.from_pretrained("FOLDER/encoder", dtype=torch.float32)'
    if lora:
        yield 'encoder = PeftModel.from_pretrained(encoder, "FOLDER/adapter").merge_and_unload()'
    if whisper:
        yield "encoder = encoder.get_encoder()"
    if _normed(record):
        yield "encoder.layer_norm = torch.nn.Identity()"
    yield "encoder.eval()"
    yield f'inputs = extractor(audio, sampling_rate={record.encoder.rate}, return_tensors="pt")'
    if whisper:
        yield "own = -(-len(audio) // 320)  # frames of the audio; behind them is silence up to 30 s"
    yield "with torch.inference_mode():"
    yield "    states = encoder(**inputs, output_hidden_states=True).hidden_states"
    if whole:
        frames = "[:own]" if record.kind in FRAMED else "[:, :own]"
        yield from _answer(record, frames if whisper else "")


def _answer(record: ModelRecord, own: str) -> Iterator[str]:
    if record.kind in FRAMED:
        yield from _framed(record, own)
        return
    encoder = record.encoder
    deviation = encoder.pooling == "mean+std"
    yield ""
    yield "def pooled(state):"
    yield f"    frames = state{own}"
    both = "torch.cat([frames.mean(1), frames.std(1, correction=0)], 1)"
    yield f"    return {both if deviation else 'frames.mean(1)'}"
    yield ""
    yield 'weights = load_file("FOLDER/head.safetensors")'
    if record.method.mix:
        yield 'share = torch.softmax(weights["mix"], 0)[:, None, None]'
        yield f"heard = (share * torch.stack([pooled(state) for state in states[{encoder.lowest}:]])).sum(0)"
    else:
        yield "heard = pooled(states[-1])"
    yield from _head(record)
    if record.labels:
        yield f"labels = {list(record.labels)!r}"
        yield "answer = dict(zip(labels, heard.softmax(-1)[0].tolist()))"
    else:
        yield 'answer = float(heard * weights["spread"] + weights["centre"])'
    yield "print(answer)"


def _framed(record: ModelRecord, own: str) -> Iterator[str]:
    """Write what makes text or labels of hidden states: frames on the scale of the head, then the likeliest of each."""
    yield ""
    yield 'weights = load_file("FOLDER/head.safetensors")'
    if record.kind == "segmentation" and record.method.head.per_speaker:
        heard = f"states[{record.encoder.lowest}:]" if record.method.mix else "states[-1:]"
        yield f"own = [state[0]{own} for state in {heard}]  # of all that the speaker says, if there is more"
        yield "centre = torch.stack([one.mean(0) for one in own])[:, None, None]"
        yield "spread = torch.stack([one.std(0, correction=0) for one in own])[:, None, None]"
    else:
        yield 'centre, spread = weights["scale"][:, :, None, None]'
    if record.method.mix:
        yield 'share = torch.softmax(weights["mix"], 0)[:, None, None, None]'
        mixed = f"torch.stack(states[{record.encoder.lowest}:]) - centre) / spread"
        yield f"heard = (share * ({mixed}).sum(0)[0]{own}"
    else:
        yield f"heard = ((states[-1] - centre[0]) / spread[0])[0]{own}"
    if record.kind == "segmentation" and record.method.head.context:
        yield from _around(record)
    yield from _head(record)
    if record.kind == "segmentation":
        yield f"labels = {list(record.labels)!r}"
        yield f"# One label per frame; sibboleth makes segments of the probabilities by {record.decoder}."
        yield "answer = [labels[one] for one in heard.argmax(-1).tolist()]"
        yield "print(answer)"
        return
    yield f"characters = {record.characters!r}"
    yield "best = heard.argmax(-1).tolist()"
    yield "kept = [one for one, last in zip(best, [0, *best]) if one not in (0, last)]"
    yield 'answer = " ".join("".join(characters[one - 1] for one in kept).split())'
    yield "print(answer)"


def _around(record: ModelRecord) -> Iterator[str]:
    """Write what puts the mean and deviation of windows beside each frame."""
    stride = f"{record.encoder.stride} / {record.encoder.rate}"
    yield f"seconds, every = {record.method.head.context}, range(len(heard))"
    yield f"halves = [max(1, round(one / ({stride}) / 2)) for one in seconds]"
    yield "windows = [[heard[max(0, k - half) : k + half + 1] for k in every] for half in halves]"
    yield "both = [(one.mean(0), one.std(0, correction=0)) for each in windows for one in each]"
    yield "means, deviations = (torch.stack(each).reshape(len(halves), *heard.shape) for each in zip(*both))"
    yield "heard = torch.cat([heard, *(one for pair in zip(means, deviations) for one in pair)], 1)"


def _head(record: ModelRecord) -> Iterator[str]:
    numbers = _linear(record)
    for number in numbers:
        names = f'weights["head.{number}.weight"], weights["head.{number}.bias"]'
        relu = "" if number == numbers[-1] else ".relu()"
        yield f"heard = torch.nn.functional.linear(heard, {names}){relu}"


def _linear(record: ModelRecord) -> list[int]:
    """Number the linear layers among the parts of the head, between which ReLU and dropout stand."""
    dropped = int(record.method.head.dropout > 0)
    return [index * (2 + dropped) + dropped for index in range(len(record.method.head.hidden) + 1)]
