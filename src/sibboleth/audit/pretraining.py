"""Pretraining: what encoders have been trained on before."""

import json
import re
from pathlib import Path

from sibboleth.audit.finding import Evidence, Finding, plural, some

LABELLED = re.compile(
    r"whisper|[-_](960|100|10)h\b|[-_](10m|1h)\b|(?<![a-z])ft(?![a-z])|fine-?_?tun|for-?ctc|(?<![a-z])(ctc|asr|s2t|stt)(?![a-z])"
    r"|mms-(1b-(all|l1107|fl102)|lid)|xlsr-53-[a-z]|[-_]to-en\b|emotion|superb-|(?<![a-z])(ser|vad|kws|lid|er|sid)(?![a-z])|transcri",
    re.IGNORECASE,
)
"""Names of checkpoints that were trained with labels."""
UNLABELLED_HEAD = re.compile(r"PreTraining|Model$|MaskedLM")


def labelled_encoder(evidence: Evidence) -> Finding | None:
    """Find encoders that were trained with labels, by their name or their configuration."""
    found = [name for name in evidence.encoders if name in evidence.fine_tuned or trained_with_labels(name)]
    if not found:
        return None
    return Finding(
        "labelled-encoder",
        "warning",
        f"{plural(len(found), 'encoder')} trained with labels: {some(found)}.",
        "Beside encoders trained on speech alone, the difference is one of transcripts or labels too, and the test "
        "corpus may be among what they have seen.",
    )


def trained_with_labels(name: str) -> bool:
    """Tell from its name, or from the configuration in its folder, that a checkpoint was trained with labels."""
    if name.startswith(("untrained:", "python:")) or name == "logmel":
        return False
    try:
        configuration = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        heads = configuration["architectures"]
        return any(not UNLABELLED_HEAD.search(str(head)) or str(head).startswith("Whisper") for head in heads)
    except (OSError, ValueError, KeyError, TypeError):
        return LABELLED.search(name.partition("@")[0]) is not None
