"""Halving: what does not fit into memory is done in halves, and that is said."""

import gc
import sys

from sibboleth.progress import console

SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What torch says where memory does not suffice, beside errors of kinds of their own."""
fitting: dict[str, float] = {}
"""Seconds of audio in a batch that this process found to fit, by the identity of the encoder; those that always did
are not in it."""
_said: set[str] = set()


def exhausted(error: BaseException) -> bool:
    """Tell whether an error is that memory, an accelerator's or the machine's, did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def again(what: str, smaller: str) -> None:
    """Let go of what is no longer held, and say once what is done in smaller parts from now on.

    To be called when the error has gone: as long as it is handled, it holds what was computed.
    """
    gc.collect()
    torch = sys.modules.get("torch")  # an encoder that needs no torch brings none
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if what not in _said:
        _said.add(what)
        console.print(f"out of memory {what}: {smaller}; results are the same up to rounding")
