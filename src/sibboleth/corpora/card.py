"""What is known about a public corpus, before anybody has it: how it is had, cited and counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Card:
    """A corpus as its makers describe it; `corpus list` shows it, `corpus check` compares a folder with it."""

    title: str
    """What it is, in a line: kind of speech, speakers, labels."""
    languages: tuple[str, ...]
    """BCP 47 tags of what is spoken; empty where the corpus has too many to name."""
    targets: tuple[str, ...]
    """Columns of its manifest that a study may ask about: `emotion`, `text`, `segments`, `accent`, ..."""
    address: str
    """Where it is had."""
    licence: str
    """As its makers state it; `none stated` where they do not."""
    reference: str
    """How to cite it."""
    layout: str | None
    """Public source that the importer's layout was read in; None: from memory and not verified."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Published numbers: `utterances`, `speakers`, and by label, `emotion.angry`; what is not known is not there."""
    labels: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """By column of the manifest: the corpus's label to ours; None where its utterances have no label with us."""
    remarks: tuple[str, ...] = ()
    """What misleads who does not know it: one voice, parallel sentences, what a label merges."""
    made: bool = False
    """Whether sibboleth makes the corpus itself, so that nobody has it before."""

    @property
    def verified(self) -> bool:
        """Whether a public source describes the layout."""
        return self.layout is not None
