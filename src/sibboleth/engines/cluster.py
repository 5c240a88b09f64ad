"""Clusters of Ray: one of this machine alone, or one that is there; its nodes, and whether they can work for a run."""

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibboleth.engines import node
from sibboleth.errors import MissingExtra, SibbolethError
from sibboleth.experiment import record
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder

ADDRESS = "RAY_ADDRESS"
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "60"}
"""Of Ray, as environment variables: it tells nobody of its use, and waits for a busy machine."""
TRIES = 3
"""Times that a cluster of this machine is started: Ray gives up where the machine is too busy for its processes."""
SHOWN = 10
"""Troubles of nodes that are told."""


@dataclass(frozen=True)
class Cluster:
    """What a cluster has to work with."""

    address: str | None
    """None for one of this machine alone."""
    nodes: tuple[dict[str, Any], ...]
    """As `ray.nodes` tells of those that are alive."""
    threads: int
    """That a unit of work computes with."""

    @property
    def gpus(self) -> int:
        """Count accelerators."""
        return sum(int(one["Resources"].get("GPU", 0)) for one in self.nodes)

    @property
    def cores(self) -> list[int]:
        """List the cores of the nodes that have any for us."""
        return [cores for one in self.nodes if (cores := int(one["Resources"].get("CPU", 0)))]

    @property
    def cpus(self) -> int:
        """Return the cores that a unit of work is given: as many as threads, if the smallest node has so many."""
        return min(self.threads, *self.cores)

    @property
    def slots(self) -> int:
        """Count the units of work that there is room for at once."""
        return sum(cores // self.cpus for cores in self.cores)

    def encoders(self, encoder: "Encoder") -> tuple[int, int, int]:
        """Return the cores and accelerators of a process that encodes, and how many there can be."""
        from sibboleth.models.encoders.transformer import Transformer

        if self.gpus and (isinstance(encoder, Transformer) or encoder.kind == "callable"):
            return 1, 1, self.gpus
        return self.cpus, 0, self.slots

    def told(self) -> str:
        """Say what there is."""
        where = "this machine" if self.address is None else self.address
        counts = f"nodes: {len(self.nodes)}, cores: {sum(self.cores)}, accelerators: {self.gpus}"
        return (
            f"Ray on {where} ({counts}); {self.slots} at work at once, threads each (OMP_NUM_THREADS): {self.threads}"
        )

    @contextlib.contextmanager
    def shared(self, material: Material, directory: RunDirectory) -> Iterator[node.Place]:
        """Mark the folders that all nodes share while a run works there.

        Raises `SibbolethError` where a node does not see them or the audio, may not write there, or has other versions.
        """
        with node.shared(directory, self.threads) as place:
            audio = material.table.group_by("corpus", maintain_order=True).first()["audio"].to_list()
            self._require(place, [Path(one) for one in audio])
            yield place

    def _require(self, place: node.Place, audio: list[Path]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        troubles: list[str] = []
        asked = []
        for one in self.nodes:
            there = NodeAffinitySchedulingStrategy(one["NodeID"], soft=False)
            look = ray.remote(node.look).options(num_cpus=0, scheduling_strategy=there)
            asked.append((one["NodeManagerAddress"], look.remote(place, audio, record.versions())))
        for address, reference in asked:
            try:
                found: list[str] = ray.get(reference)
                troubles += found
            except ray.exceptions.RayError as error:
                troubles.append(f"node {address} cannot run sibboleth ({str(error).strip().splitlines()[-1]})")
        if troubles:
            told = "\n".join(f"  {trouble}" for trouble in sorted(set(troubles))[:SHOWN])
            raise SibbolethError(
                f"the cluster cannot work for this run:\n{told}\nCache (SIBBOLETH_CACHE), run directory (--output) and "
                "audio must lie on a file system that all nodes share, under the same paths (cache and run may lie in "
                "an object store, --mirror), and all nodes need the same installation"
            )


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """Connect to the cluster at an address, or at `$RAY_ADDRESS`; without either start one of this machine alone.

    What was started ends with the block. Raises `MissingExtra` where Ray is not installed and `SibbolethError` where no
    cluster answers.
    """
    if not all(importlib.util.find_spec(name) for name in ("ray", "pyarrow")):
        raise MissingExtra("the engine ray", "ray")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    from sibboleth.models import threads

    address = address or os.environ.get(ADDRESS)
    address = None if address == "local" else address
    _init(address)
    try:
        alive = tuple(one for one in ray.nodes() if one["Alive"])  # type: ignore[no-untyped-call]
        there = Cluster(address, alive, threads.count())
        if not there.cores:
            raise SibbolethError(f"the Ray cluster at {address} has no node with cores to work with")
        yield there
    finally:
        ray.shutdown()


def _init(address: str | None) -> None:
    """Connect to a cluster, or start one of this machine; raises `SibbolethError` where there is none then."""
    import ray

    alone = False if address is None else None
    for left in reversed(range(TRIES if address is None else 1)):
        try:
            ray.init(address or "local", include_dashboard=alone, log_to_driver=False, logging_level=logging.ERROR)
            return
        except Exception as error:  # Ray raises many kinds, a bare one among them
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise SibbolethError(f"no Ray cluster can be used at {address or 'this machine'}: {error}") from None
