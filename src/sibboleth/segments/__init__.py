"""Segments: which label when. Read from, and written to, the files in which people and tools keep them.

A segment is a row `utterance, start, end, label` (seconds, from the beginning of the utterance) and, where a file has
several kinds of segments, `tier`. Segments may overlap; what no segment covers has no label. How long utterances are
stands beside them where a file says so, which also tells of utterances without any segment.

A file of one recording (TextGrid, Audacity labels, lablaut) is named as its utterance; a folder of such files is read
as one, names of folders included (`emodb/03a01Fa`).
"""

from sibboleth.segments.column import COLUMN, in_manifest, of_manifest
from sibboleth.segments.files import ONE_RECORDING, SUFFIXES, read, write
from sibboleth.segments.frames import runs
from sibboleth.segments.table import SCHEMA, Segments, together

__all__ = [
    "COLUMN",
    "ONE_RECORDING",
    "SCHEMA",
    "SUFFIXES",
    "Segments",
    "in_manifest",
    "of_manifest",
    "read",
    "runs",
    "together",
    "write",
]
