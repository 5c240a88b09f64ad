"""`python:FILE.py:FUNCTION`: anybody's function as an encoder, and the checker of its contract."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from sibboleth.errors import InvalidInput, Problem, SibbolethError
from sibboleth.models.encoders.contract import Audio, Encoder, EncodingError, HiddenStates, identify

Function = Callable[[Audio, int], object]
"""Takes mono float32 audio `[sample]` and its rate, returns hidden states `[layer, frame, dim]`.

Or one embedding per utterance, as `[dim]`, `[1, dim]` or `[1, 1, dim]`: one layer and no frames.

An attribute `rate` on the function asks for another rate than 16,000 Hz.
"""

RATE = 16_000
CHECKED = (1.0, 2.0, 0.02)
"""Seconds of synthetic signal that the checker encodes."""


@dataclass(frozen=True, kw_only=True)
class Custom(Encoder):
    """A function of the user's."""

    function: Function

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Call the function on a copy of the audio; raises `EncodingError` where it does or returns another shape."""
        states = _call(self.function, audio, self.rate)
        if states.shape[0] != self.layers or states.shape[2] != self.dim:
            raise EncodingError(
                f"returned {_shape(states)} where {self.layers} layers of {self.dim} numbers were returned before"
            )
        if not self.frames and states.shape[1] != 1:
            raise EncodingError(f"returned {_shape(states)} where one embedding per utterance was returned before")
        return states


def custom(name: str, language: str | None = None) -> Custom:
    """Import the function that `name` names and check its contract on synthetic signals.

    Raises `SibbolethError` where it cannot be imported and `InvalidInput` with every breach of the contract.
    """
    place, _, attribute = name.removeprefix("python:").rpartition(":")
    if not place or not attribute:
        raise SibbolethError(f"encoder {name!r}: write python:FILE.py:FUNCTION or python:package.module:function")
    module, source = _import(name, place)
    function = getattr(module, attribute, None)
    if not callable(function):
        there = ", ".join(k for k, v in vars(module).items() if callable(v) and not k.startswith("_")) or "none"
        raise SibbolethError(f"encoder {name!r}: {source} has no function {attribute!r}; it has: {there}")
    rate = int(getattr(function, "rate", RATE))
    try:
        first = _call(function, signal(CHECKED[0], rate), rate)
        embeds = first.shape[:2] == (1, 1) and _call(function, signal(CHECKED[1], rate), rate).shape[:2] == (1, 1)
    except EncodingError as error:
        raise InvalidInput(f"encoder {name!r} does not keep the contract", [Problem(str(source), str(error))]) from None
    encoder = Custom(
        name=name,
        identity=identify(
            encoder="python", source=hashlib.sha256(source.read_bytes()).hexdigest(), function=attribute, rate=rate
        ),
        kind="callable",
        rate=rate,
        layers=first.shape[0],
        dim=first.shape[2],
        frames=not embeds,
        language=language,
        notes=(
            "its identity covers the bytes of its source file, not of what that file imports or loads",
            *((f"one embedding of {first.shape[2]} numbers per utterance, and no frames",) if embeds else ()),
        ),
        function=function,
    )
    if problems := check(encoder):
        found = [Problem(str(source), problem, field=attribute) for problem in problems]
        raise InvalidInput(f"encoder {name!r} does not keep the contract", found)
    return encoder


def check(encoder: Encoder) -> list[str]:
    """Say in plain words where an encoder breaks the contract; an empty list if nowhere.

    Encodes synthetic signals of `CHECKED` seconds: shapes, number type, finite values, the same answer twice and
    whatever was encoded before, more frames for longer audio (or one embedding always), audio left as it was.
    """
    one, two, short = (signal(seconds, encoder.rate) for seconds in CHECKED)
    before = one.copy()
    try:
        first = encoder.hidden_states(one)
        longer = encoder.hidden_states(two)
        again = encoder.hidden_states(before.copy())
    except EncodingError as error:
        return [str(error)]
    problems = []
    if not np.array_equal(one, before):
        problems.append("it changes the audio it is given; work on a copy")
    if first.shape == again.shape and not np.allclose(first, again, rtol=1e-4, atol=1e-5 * float(np.abs(first).max())):
        problems.append(
            "the same audio gives different numbers after other audio was encoded: is dropout on (call model.eval()), "
            "or is something kept from call to call?"
        )
    if first.shape != again.shape:
        problems.append(f"the same audio gives {_shape(first)} and then {_shape(again)}")
    problems += _about_frames(encoder, first, longer)
    try:
        encoder.hidden_states(short)
    except EncodingError as error:
        problems.append(f"{CHECKED[2] * 1000:g} ms of audio: {error}; pad very short audio")
    return problems


def _about_frames(encoder: Encoder, first: HiddenStates, longer: HiddenStates) -> list[str]:
    """Say what is wrong with the frames of the two longer signals."""
    if not encoder.frames:
        return ["different audio gives the same embedding"] if np.array_equal(first, longer) else []
    problems = []
    if longer.shape[1] <= first.shape[1]:
        problems.append(
            f"{CHECKED[1]:g} s give {longer.shape[1]} frames and {CHECKED[0]:g} s give {first.shape[1]}: frames must "
            "grow with the audio. Return frames, not their mean; the pooling is done here. (An encoder of utterances "
            "returns one embedding [dim], of one layer.)"
        )
    if np.ptp(longer, axis=1).max() == 0:
        problems.append("all frames of an utterance are alike")
    return problems


def signal(seconds: float, rate: int) -> Audio:
    """Make a gliding tone with noise; the longer one begins with the shorter."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.3 * np.sin(2 * np.pi * (200 + 60 * time) * time) + 0.01 * noise).astype(np.float32)


def _import(name: str, place: str) -> tuple[ModuleType, Path]:
    """Import a file or a module; its source file is its identity."""
    if place.endswith(".py"):
        source = Path(place).expanduser().resolve()
        if not source.is_file():
            raise SibbolethError(f"encoder {name!r}: {source}: no such file")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        spec = importlib.util.spec_from_file_location(f"_sibboleth_encoder_{digest}", source)
    else:
        try:
            spec = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            raise SibbolethError(
                f"encoder {name!r}: there is no module {place!r} with a source file on the Python path"
            )
        source = Path(spec.origin)
    if spec is None or spec.loader is None:
        raise SibbolethError(f"encoder {name!r}: {source} cannot be imported")
    if spec.name in sys.modules and not place.endswith(".py"):
        return sys.modules[spec.name], source
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise SibbolethError(
            f"encoder {name!r}: {source} fails while it is imported: {type(error).__name__}: {error}"
        ) from error
    return module, source


def _call(function: Function, audio: Audio, rate: int) -> HiddenStates:
    """Call the function and make sure that it returns finite floating-point numbers `[layer, frame, dim]`."""
    try:
        returned = function(audio, rate)
    except Exception as error:
        trace = inspect.trace()
        line = f" (line {trace[-1].lineno} of {Path(trace[-1].filename).name})" if trace else ""
        raise EncodingError(f"raises {type(error).__name__}: {error}{line}") from None
    detached = returned.detach().cpu() if hasattr(returned, "detach") else returned
    try:
        states = np.asarray(detached)
    except Exception as error:
        raise EncodingError(f"returns {type(returned).__name__}, not an array ({error})") from None
    if states.dtype.kind != "f":
        raise EncodingError(f"returns numbers of type {states.dtype}; return floating-point numbers")
    if states.ndim == 1 or (states.ndim == 2 and len(states) == 1):
        states = states.reshape(1, 1, -1)
    if states.ndim != 3:
        raise EncodingError(
            f"returns {_shape(states)}; return [layer, frame, dim], also where there is one layer, or [dim] for one "
            "embedding per utterance"
        )
    if 0 in states.shape:
        raise EncodingError(f"returns {_shape(states)}: nothing")
    if not np.isfinite(states).all():
        raise EncodingError("returns numbers that are not finite (NaN or infinity)")
    return states.astype(np.float32)


def _shape(states: HiddenStates) -> str:
    return "[" + ", ".join(map(str, states.shape)) + "]"
