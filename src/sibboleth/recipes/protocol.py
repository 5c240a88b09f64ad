"""Published protocols on the command line: which there are, what they ask, and a study file that follows one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sibboleth import corpus, protocols, runs
from sibboleth.errors import InvalidInput
from sibboleth.protocols import Protocol, ProtocolCorpus


@dataclass(frozen=True)
class Protocols:
    """The protocols there are; looks good on a terminal."""

    all: dict[str, Protocol]

    def __rich__(self) -> RenderableType:
        """Show name, corpora, metric and how many numbers are known."""
        table = Table("name", "what", "corpora", "metric", "numbers", box=box.SIMPLE_HEAD)
        for name, one in self.all.items():
            corpora = ", ".join(each.name for each in one.corpora)
            table.add_row(name, one.title, corpora, one.metric, str(len(one.published)))
        return table


@dataclass(frozen=True)
class Shown:
    """One protocol, whole; looks good on a terminal."""

    protocol: Protocol

    def __rich__(self) -> RenderableType:
        """Show rules, flaws, numbers and sources."""
        one = self.protocol
        rules = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for what in ("manifest", "dev", "choice", "head", "layers", "training", "metric", "average"):
            rules.add_row(Text(what, style="dim"), Text(str(getattr(one, what))))
        numbers = Table("corpus", "encoder", one.metric, "folds", "source", box=box.SIMPLE_HEAD)
        for number in one.published:
            folds = f"{min(number.folds):.3f} to {max(number.folds):.3f}" if number.folds else ""
            place = number.corpus or one.corpora[0].name
            numbers.add_row(place, number.encoder, f"{number.value:.4f}", folds, number.source)
        leaks = [f"{each.name}: {each.leak}" for each in one.corpora if each.leak]
        return Group(
            Text(one.title, style="bold"),
            Padding(rules, (1, 0)),
            Text("What is wrong with it", style="bold"),
            *(Padding(Text(f"- {flaw}"), (0, 0, 0, 2)) for flaw in (*leaks, *one.flaws)),
            numbers,
            *(Text(f"{key}: {source.title} ({source.url})", style="dim") for key, source in one.sources.items()),
        )


def names() -> Protocols:
    """List the published protocols that a study can name."""
    return Protocols({name: protocols.read(name) for name in protocols.names()})


def show(name: str) -> Shown:
    """Tell what a protocol asks, what is wrong with it and what was published.

    Args:
        name: One of `sibboleth protocol names`, or the path of a file of the same form.
    """
    return Shown(protocols.read(name))


def write(
    name: str,
    *,
    manifest: tuple[str, ...],
    lists: Path | None = None,
    label: str = "emotion",
    output: Path | None = None,
) -> Text | Path:
    """Write a study file that follows a protocol, with every setting in sight.

    Args:
        name: One of `sibboleth protocol names`, or the path of a file of the same form.
        manifest: CORPUS=PATH, the corpus by the protocol's name for it; several for a protocol of several corpora.
        lists: File or folder of published split lists, for protocols whose folds are lists (emobox: data/CORPUS of
            its repository).
        label: Column of the label.
        output: Study file to write; paths in it are relative to its folder. Without it the text is printed.

    Returns:
        The file, or its text. Raises `InvalidInput` for a corpus that the protocol does not have, or a manifest that
        cannot be read or lacks the speakers, sessions or labels that the protocol needs.
    """
    protocol = protocols.read(name)
    folder = (output.parent if output else Path()).resolve()
    needs_lists = protocol.study.splits.get("scheme") == "file"
    if needs_lists != (lists is not None):
        told = (
            "needs split lists: --lists FILE_OR_FOLDER" if needs_lists else "makes its own folds and takes no --lists"
        )
        raise InvalidInput(f"the protocol {name} {told}")
    asked = [_asked(protocol, name, one) for one in manifest]
    splits = dict(protocol.study.splits) | ({"file": _relative(lists, folder)} if lists else {})
    text = "\n".join(
        [
            f"# {protocol.title}: {protocol.sources.get('paper', next(iter(protocol.sources.values()))).url}",
            f'name = "{Path(name).stem}"',
            f'protocol = "{name}"',
            f"regimes = {json.dumps(list(protocol.study.regimes))}",
            *([f"layer_mix = {str(protocol.study.layer_mix).lower()}"] if protocol.study.layer_mix is not None else []),
            *_leaks([one for one, _ in asked]),
            "",
            *_table("target", {"column": label, **protocol.study.target}),
            *(line for one, path in asked for line in _corpus(protocol, one, path, folder, label)),
            *_encoders(protocol, [one for one, _ in asked]),
            *_table("probe", protocol.study.probe),
            *_table("splits", splits),
            *(_table("statistics", protocol.study.statistics) if protocol.study.statistics else []),
        ]
    )
    if output is None:
        return Text(text.rstrip("\n"))
    runs.write_text(output, text)
    return output


def _asked(protocol: Protocol, name: str, given: str) -> tuple[ProtocolCorpus, Path]:
    corpus_name, separator, path = given.partition("=")
    found = protocol.corpus(corpus_name)
    if not separator or found is None:
        there = ", ".join(one.name for one in protocol.corpora)
        raise InvalidInput(f"--manifest {given}: write CORPUS=PATH; the corpora of {name} are {there}")
    return found, Path(path)


def _leaks(asked: Sequence[ProtocolCorpus]) -> list[str]:
    """Say what the audit will refuse, and leave it to the user to allow it."""
    return [
        line
        for one in asked
        if one.leak
        for line in (
            f"# {one.name}: {one.leak}. The audit stops on it unless you write:",
            '# allow = ["shared-speakers"]',
        )
    ]


def _corpus(protocol: Protocol, one: ProtocolCorpus, path: Path, folder: Path, label: str) -> list[str]:
    """Write one corpus, with the labels that its manifest has translated into the protocol's."""
    read = corpus.read(path, name=one.name)
    if label not in read.table.columns:
        raise InvalidInput(f"{path}: no column {label!r} for the label; --label names another")
    for column in ("speaker", *(["session"] if "session" in str(protocol.study.splits.get("scheme")) else [])):
        if read.table[column].null_count():
            raise InvalidInput(
                f"{path}: {protocol.title} needs the column {column!r} in every row: {protocol.manifest}"
            )
    there = set(read.table[label].cast(str).drop_nulls())
    wanted = tuple(protocol.study.target.get("labels", one.spellings))
    meant = {spelling: to for to in wanted for spelling in (to, *one.spellings.get(to, ()))}
    labels = {value: meant[value.lower()] for value in sorted(there) if meant.get(value.lower(), value) != value}
    if missing := [to for to in wanted if to not in there and to not in labels.values()]:
        raise InvalidInput(
            f"{path}: nothing in {label!r} is {' or '.join(missing)} for {protocol.title}; there are "
            + ", ".join(sorted(there))
        )
    keys: dict[str, object] = {"name": one.name, "manifest": _relative(path, folder)}
    return ["[[corpora]]", *_keys(keys | ({"labels": labels} if labels else {})), ""]


def _encoders(protocol: Protocol, asked: Sequence[ProtocolCorpus]) -> list[str]:
    """Write the control and the published encoders, all but the first of these as comments."""
    names = list(dict.fromkeys(number.encoder for one in asked for number in protocol.numbers(one)))
    lines = ["[[encoders]]", 'name = "logmel"', ""]
    for position, name in enumerate(names):
        mark = "# " if position else ""
        lines += [f"{mark}[[encoders]]", f'{mark}name = "{name}"', ""]
    return lines


def _relative(path: Path | None, folder: Path) -> str:
    resolved = Path(path or "").resolve()
    return str(resolved.relative_to(folder)) if resolved.is_relative_to(folder) else str(resolved)


def _table(name: str, values: dict[str, object]) -> list[str]:
    return [f"[{name}]", *_keys(values), ""]


def _keys(values: dict[str, object]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items()]


def _toml(value: object) -> str:
    """Write text, numbers, lists and one table of texts; JSON writes the first three as TOML does."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
