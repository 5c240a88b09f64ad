"""Upstreams: what s3prl calls encoders, and the checkpoints of the Hugging Face hub with the same weights.

`s3prl.csv` has the name, the checkpoint, the file that s3prl loads, and where s3prl says so. Names are followed as far
as the encoders' families are known here; a checkpoint takes the name's place everywhere, in errors and in reports.
"""

import csv
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path

PREFIX = "s3prl:"
BASELINES = ("baseline", "fbank", "mel", "mfcc", "linear", "spectrogram")
"""Features that s3prl computes; ours are others."""


def checkpoint(name: str) -> str:
    """Return the checkpoint of an upstream, `s3prl:NAME` or the name alone; any other name, or a folder's, as it is.

    Raises `ValueError` naming what is near where there is no such upstream.
    """
    known = checkpoints()
    if not name.startswith(PREFIX):
        return known[name] if name in known and not Path(name).is_dir() else name
    upstream = name.removeprefix(PREFIX)
    if upstream in BASELINES:
        raise ValueError(f"s3prl's {upstream!r} is not computed here; its like is the control 'logmel'")
    if upstream not in known:
        raise ValueError(f"s3prl's upstream {upstream!r} is not known here{nearest(upstream)}")
    return known[upstream]


def nearest(name: str) -> str:
    """Say which upstreams a name may mean, to end a sentence; where none is near, what else can be given."""
    near = get_close_matches(name, checkpoints(), n=3)
    if not near:
        return "; give a checkpoint of the hub, OWNER/NAME"
    return "; near are " + ", ".join(f"{one} ({checkpoints()[one]})" for one in near)


@cache
def checkpoints() -> Mapping[str, str]:
    """Return the checkpoint of every upstream that is known."""
    text = resources.files("sibboleth.upstreams").joinpath("s3prl.csv").read_text(encoding="utf-8")
    return {row["name"]: row["checkpoint"] for row in csv.DictReader(text.splitlines())}
