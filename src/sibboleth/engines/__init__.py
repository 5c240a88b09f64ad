"""Engines: where the work of a run is done. Units of work are recordings to encode and cells to fill."""

import contextlib
from collections.abc import Iterator

from sibboleth.engines.engine import Engine
from sibboleth.engines.local import Local
from sibboleth.engines.unit import Outcome, Unit, failed
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory
from sibboleth.study import EngineName

__all__ = ["Engine", "Outcome", "Unit", "failed", "opened"]


@contextlib.contextmanager
def opened(name: EngineName, address: str | None, material: Material, directory: RunDirectory) -> Iterator[Engine]:
    """Make an engine ready for the work of one run; `address` is that of a Ray cluster.

    Raises `MissingExtra` where Ray is not installed, and `SibbolethError` where its cluster cannot be used.
    """
    if name == "local":
        yield Local(material, directory)
        return
    from sibboleth.engines.ray import opened as on_ray

    with on_ray(address, material, directory) as engine:
        yield engine
