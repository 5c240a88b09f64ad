"""Make the encoders in the box again: speak the speech, pre-train on it, put the weights into the package."""

import json
from importlib import resources
from pathlib import Path

from sibboleth import corpus, runs
from sibboleth.progress import console
from sibboleth.recipes.pretrain import ENCODER, pretrain

HOURS = {"en": (("en",), 12.0), "nl": (("nl",), 12.0), "others": (("de", "fr", "pl", "zh", "es", "it"), 2.5)}
"""Folder of speech: its languages, and hours of each."""
SEED = 0
PRESETS = ("tiny-en", "tiny-nl", "tiny-multi")
LIMITS = """
## Scores

Not measured since it was made: `python benchmarks/boxed.py --cards` does, and writes them here.

## Limits

- It has heard one program (espeak-ng) and no person. It is there so that everything can be tried without a download,
  and as a control that has learnt something; for results about people take an encoder pre-trained on people.
- Its speakers are some fifty voice variants at several vocal tract lengths: far less than people vary. Emotions it
  has heard none: pitch, range, rate and loudness were drawn independently of each other.
- It hears a band of 8 kHz, and was pre-trained on pieces of at most 4 seconds.
- Voices and sentences of the controlled corpus, on which `sibboleth demo` and the tests run, are not among what it
  heard.

The weights are stored in half precision, and computed with in float32. Apache-2.0.
"""


def box(folder: Path = Path("boxed"), *, only: tuple[str, ...] = PRESETS) -> str:
    """Make the encoders in the box again, from nothing; the same command goes on after a stop.

    Speaking takes ten minutes on two cores, and each pre-training some 50 minutes on one (an EPYC with AVX2).

    Args:
        folder: Where speech and runs are kept.
        only: Which to make.
    """
    for name, (languages, hours) in HOURS.items():
        _speak(folder / "speech" / name, languages, hours)
    made = []
    for name in only:
        file = folder / f"{name}.toml"
        text = resources.files("sibboleth.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            runs.write_text(file, text)
        directory = folder / "runs" / name
        pretrain(file, output=directory)
        made.append(str(_packed(directory / ENCODER, f"sibboleth-{name}")))
    return "\n".join(made)


def _speak(root: Path, languages: tuple[str, ...], hours: float) -> None:
    from sibboleth.corpora.synthetic import unlabelled

    if (root / "manifest.csv").exists():
        return
    console.print(f"speaking {hours:g} h of each of {', '.join(languages)} into {root}")
    reading = unlabelled.Reading.model_validate({"languages": languages, "hours": hours, "seed": SEED})
    corpus.write(unlabelled.prepare(root, reading), root / "manifest.csv")


def _packed(encoder: Path, name: str) -> Path:
    """Write an encoder into the package, its weights in half the bytes."""
    import torch
    from transformers import AutoModel

    from sibboleth.models.encoders import box
    from sibboleth.models.encoders.transformer import quiet

    folder = box.FOLDER / name
    with quiet():
        model = AutoModel.from_pretrained(encoder, dtype=torch.float32, local_files_only=True)
        model.to(torch.float16).save_pretrained(folder)
    # Whoever loads it without saying how gets float32, which is what it was pre-trained in.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"dtype": "float32"}
    runs.write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    runs.write_text(folder / "README.md", (encoder / "README.md").read_text(encoding="utf-8") + LIMITS)
    extractor = "preprocessor_config.json"
    runs.write_text(folder / extractor, (encoder / extractor).read_text(encoding="utf-8"))
    (folder / "model.safetensors").chmod(0o644)
    return folder
