"""What the verbs of the cache show: what it holds, what can go, and what was written for other tools."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.table import Table

SHORT = 12
"""Characters of an identity that are shown, and suffice to name it."""


@dataclass(frozen=True)
class Held:
    """What the cache holds of one encoder, or of one recogniser."""

    encoder: str
    """Its name when it was last written, or several where one encoder went by several names."""
    identity: str
    utterances: int
    layers: int
    """0 of a recogniser, of which there are transcripts."""
    dim: int
    bytes: int
    """Of statistics over time, or of transcripts."""
    frames: str = ""
    """Layers whose frames are there."""
    frame_bytes: int = 0


@dataclass(frozen=True)
class Holdings:
    """What the cache holds, encoder by encoder, then recogniser by recogniser."""

    folder: Path
    encoders: tuple[Held, ...]
    title: str = ""
    remarks: tuple[str, ...] = ()

    def __rich__(self) -> Table | str:
        """Show it as a table."""
        if not self.encoders:
            said = [self.title] if self.title else []
            return "\n".join([*said, f"the cache is empty ({self.folder})", *self.remarks])
        total = sum(held.bytes + held.frame_bytes for held in self.encoders)
        caption = "\n".join([f"{megabytes(total)} in {self.folder}", *self.remarks])
        table = Table(title=self.title or None, caption=caption, title_justify="left", caption_justify="left")
        with_frames = any(held.frames for held in self.encoders)
        headings = ("encoder", "identity", "utterances", "layers", "dim", "size")
        for heading in (*headings, "frames") if with_frames else headings:
            left = heading in ("encoder", "identity", "frames")
            table.add_column(heading, justify="left" if left else "right", overflow="fold")
        for held in self.encoders:
            size = ("", "") if not held.layers else (str(held.layers), str(held.dim))
            numbers = (str(held.utterances), *size, megabytes(held.bytes))
            frames = f"{megabytes(held.frame_bytes)}, layers {held.frames}" if held.frames else ""
            name = held.encoder if held.layers else f"{held.encoder} (transcripts)"
            table.add_row(name, held.identity[:SHORT], *numbers, *([frames] if with_frames else []))
        return table


@dataclass(frozen=True)
class Pruned:
    """What can go, or went."""

    folder: Path
    rows: tuple[tuple[str, str, str, int, int], ...]
    """Encoder, identity, reason, files, bytes."""
    done: bool
    busy: tuple[str, ...] = ()
    """Encoders that a running process is using, which were left alone."""
    unknown: int = 0
    """Files that were left alone because no scan from here knows some of their audio."""

    def __rich__(self) -> Table | str:
        """Show it as a table."""
        total = sum(row[-1] for row in self.rows)
        done = f"{megabytes(total)} were removed" if self.done else f"{megabytes(total)} can go; --yes removes them"
        left = [f"{name} is in use by a running process and was left alone" for name in self.busy]
        if self.unknown:
            left.append(
                f"{self.unknown} files hold audio that no scan from here knows; whether it is gone cannot be told, and "
                "they were left alone (`sibboleth corpus describe` scans a manifest)"
            )
        caption = "\n".join([f"{done} ({self.folder})" if self.rows else f"nothing can go ({self.folder})", *left])
        if not self.rows:
            return caption
        table = Table(caption=caption, caption_justify="left")
        for heading in ("encoder", "identity", "why", "files", "size"):
            table.add_column(heading, justify="right" if heading in ("files", "size") else "left")
        for encoder, identity, reason, files, size in self.rows:
            table.add_row(encoder, identity[:SHORT], reason, str(files), megabytes(size))
        return table


@dataclass(frozen=True)
class Exported:
    """What was written for other tools."""

    output: Path
    encoder: str
    utterances: int
    layers: tuple[int, ...]
    dim: int
    excluded: pl.DataFrame
    """Utterance, audio, reason."""

    def __rich__(self) -> str:
        """Say it in a few lines."""
        lines = [
            f"{self.output}: {self.utterances} utterances, layers {', '.join(map(str, self.layers))} of {self.dim} "
            f"with {self.encoder}",
            *(f"left out: {row['utterance']}: {row['reason']}" for row in self.excluded.head(20).to_dicts()),
        ]
        more = self.excluded.height - 20
        return "\n".join([*lines, *([f"... and {more} more were left out"] if more > 0 else [])])


def megabytes(count: int) -> str:
    """Write a number of bytes as MB."""
    return f"{count / 1e6:,.1f} MB"
