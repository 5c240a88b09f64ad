"""Which encoders of a data study are pre-trained already, and that they are the ones that are asked for."""

from typing import Any

from sibboleth.amounts import Amounts, Point
from sibboleth.errors import SibbolethError
from sibboleth.pretraining import Pretraining
from sibboleth.recipes.pretrain import ENCODER
from sibboleth.runs import RunDirectory

KEPT = ("manifest", "language", "workers", "save")
"""Settings of a pre-training that change nothing of what it learns; the speech has a digest of its own."""


ELSEWHERE = "choose another --output, or delete what is there to begin again"


def place(directory: RunDirectory, point: Point) -> RunDirectory:
    """Return the run directory of a point's pre-training."""
    return RunDirectory(directory / "pretraining" / point.name)


def complete(made: RunDirectory) -> bool:
    """Tell whether a pre-training is done."""
    if not (made / "run.json").exists() or not (made / ENCODER / "config.json").exists():
        return False
    return bool(made.read().get("status") == "complete")


def finished(asked: Amounts, directory: RunDirectory, digests: dict[str, str]) -> tuple[Point, ...]:
    """Find the points that are pre-trained; raises `SibbolethError` where that was on other speech or otherwise."""
    found = [point for point in asked.points if complete(place(directory, point))]
    if not found:
        return ()
    there: dict[str, str] = directory.read().get("speech", {}) if (directory / "run.json").exists() else {}
    if differ := sorted(name for name, digest in digests.items() if there.get(name, digest) != digest):
        raise SibbolethError(f"{directory.path}: was made with other speech ({', '.join(differ)}); {ELSEWHERE}")
    for point in found:
        made = Pretraining.model_validate(place(directory, point).read()["settings"])
        now, then = (_told(one) for one in (asked.pretraining_of(point), made))
        if differ := sorted(name for name in now if now[name] != then[name]):
            raise SibbolethError(
                f"{place(directory, point).path}: was pre-trained otherwise ({', '.join(differ)}); {ELSEWHERE}"
            )
    return tuple(found)


def _told(one: Pretraining) -> dict[str, Any]:
    """Return the settings that decide what is learnt."""

    def pruned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: pruned(inner) for name, inner in value.items() if name not in KEPT}
        return [pruned(inner) for inner in value] if isinstance(value, list) else value

    told: dict[str, Any] = pruned(one.model_dump(mode="json"))
    return told
