"""Checkpoints of the Hugging Face hub, or of its cache on this machine."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sibboleth.errors import SibbolethError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where weights are looked for, first to last; an index names its shards."""
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
UTTERANCE = ("utterance.json", "utterance.safetensors")
"""What stands beside the weights of an encoder of utterances."""
OFFLINE = (
    "Where there is no network, give a local folder, or copy the cache of a machine that has the checkpoint and set "
    "HF_HOME to it"
)
SECONDS = 20.0
"""To wait for the hub's answer."""


class Unreachable(SibbolethError):
    """The hub does not answer."""


def weights(folder: Path) -> Sequence[Path]:
    """Return the files that hold a checkpoint's weights, the index of a sharded one first; none if any is missing."""
    for name in WEIGHTS:
        file = folder / name
        if not file.is_file():
            continue
        if not name.endswith(".index.json"):
            return (file,)
        shards = [folder / shard for shard in _shards(file)]
        return (file, *shards) if all(shard.is_file() for shard in shards) else ()
    return ()


def preprocesses(folder: Path) -> bool:
    """Say whether a folder has a preprocessor's file; who loaded only the model before did not fetch it."""
    return any((folder / file).is_file() for file in PREPROCESSORS)


def snapshot(
    name: str,
    repository: str,
    revision: str | None,
    more: Sequence[str] = (),
    complete: Callable[[Path], bool] = preprocesses,
) -> Path:
    """Return the folder of a checkpoint in the hub's cache, downloading what is not there.

    What is cached whole, by `complete`, is taken as it is, without asking the hub for a newer revision; `more` are
    files beside an encoder's that are fetched where the hub has them. Raises `SibbolethError` where
    there is no such checkpoint or revision, it needs permission, or the hub cannot be reached.
    """
    folder = _cached(repository, revision)
    usable = folder is not None and bool(weights(folder))
    if folder is not None and usable and complete(folder):
        return folder
    try:
        return _download(name, repository, revision, more)
    except Unreachable:
        if folder is not None and usable:
            return folder
        raise


def _cached(repository: str, revision: str | None) -> Path | None:
    """Return the folder in the hub's cache that has a checkpoint's configuration."""
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, "config.json", revision=revision)
    except errors.HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def files(name: str, repository: str, revision: str | None, wanted: Sequence[str]) -> Path:
    """Return a folder of the hub's cache with some files of a repository, and no others, fetching what is not there.

    Which of them the hub does not have is for the caller to see. Raises as `snapshot` does.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    cached = [try_to_load_from_cache(repository, file, revision=revision) for file in wanted]
    if all(isinstance(one, str) for one in cached):
        return Path(str(cached[0])).parent
    with _asking(name, repository, revision):
        info = HfApi().model_info(repository, revision=revision, timeout=SECONDS)
        there = {sibling.rfilename for sibling in info.siblings or ()}
        paths = [Path(hf_hub_download(repository, one, revision=info.sha)) for one in wanted if one in there]
    if not paths:
        raise SibbolethError(f"encoder {name!r}: {repository} has none of {', '.join(wanted)}")
    return paths[0].parent


def _download(name: str, repository: str, revision: str | None, more: Sequence[str]) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    with _asking(name, repository, revision):
        info = HfApi().model_info(repository, revision=revision, timeout=SECONDS)
        there = {sibling.rfilename for sibling in info.siblings or ()}
        wanted = [file for file in ("config.json", *PREPROCESSORS, *UTTERANCE, *more) if file in there]
        wanted += [file for file in WEIGHTS if file in there][:1]
        paths = [Path(hf_hub_download(repository, file, revision=info.sha)) for file in wanted]
        for index in (path for path in paths if path.name.endswith(".index.json")):
            for shard in _shards(index):
                hf_hub_download(repository, shard, revision=info.sha)
    if "config.json" not in there:
        raise SibbolethError(f"encoder {name!r}: has no config.json, so it is not a transformers checkpoint")
    return paths[0].parent


@contextlib.contextmanager
def _asking(name: str, repository: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into errors for users."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise SibbolethError(
            f"encoder {name!r}: its authors give access on request; ask for it on the hub, then run `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise SibbolethError(f"encoder {name!r}: the hub has {repository!r} but no revision {revision!r}") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise SibbolethError(
            f"encoder {name!r}: is neither a folder nor a checkpoint of the hub (or a private one: `hf auth login`)"
        ) from None
    except Exception as error:  # the client lets its HTTP library's own errors through
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Unreachable(
            f"encoder {name!r}: is not on this machine and cannot be fetched from the hub ({cause}). {OFFLINE}"
        ) from None


def _shards(index: Path) -> Sequence[str]:
    """Name the files of weights that an index names; they lie beside it."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        names = [*told["weight_map"].values()]
        if not names or not all(isinstance(one, str) and one and one == Path(one).name for one in names):
            raise ValueError("its weight_map must name files that lie beside it")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SibbolethError(f"{index}: is no index of weights, which has a weight_map ({error})") from None
    return sorted(set(names))
