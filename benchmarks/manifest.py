"""What a large manifest costs: seconds and peak memory of reading, dividing, auditing and planning it without audio.

    python benchmarks/manifest.py                        # 10 000, 100 000 and 1 000 000 rows
    python benchmarks/manifest.py --rows 50000 --scheme random-folds --domain corpus

The manifest is made up: paths, up to 20 000 speakers, ten languages, texts with quotes and commas, four labels, a start
and an end in half of the rows. No audio is there. Each size is measured in a process of its own; peak memory is that of
the process until the end of the stage. The last line of a size is the whole `sibboleth plan STUDY --without-audio` as
its own command, with the start of Python.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

SPEAKERS = 20_000
LANGUAGES = 10
LABELS = ("angry", "happy", "neutral", "sad")
WORDS = ("sibboleth", "the", "under", "speech", 'said "so"', "one, two", "über", "weiter", "sprache", "naar", "station")
STUDY = """
name = "manifest"
domain = "{domain}"
allow = ["shared-speakers"]
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[splits]
scheme = "{scheme}"
"""


def write(folder: Path, rows: int, scheme: str = "speaker-folds", domain: str = "language") -> Path:
    """Write a manifest and its study into a folder; returns the study."""
    random = np.random.default_rng(0)
    speaker = np.sort(random.integers(0, min(SPEAKERS, max(100, rows // 50)), rows))
    words = pl.Series(WORDS)
    text = pl.DataFrame({str(place): words.gather(random.integers(0, len(words), rows)) for place in range(8)})
    start = pl.Series(np.round(random.uniform(0, 100, rows), 2)).set(pl.Series(random.random(rows) < 0.5), None)
    frame = pl.DataFrame({"row": np.arange(rows), "speaker": speaker, "start": start}).with_columns(
        text=text.select(pl.concat_str(pl.all(), separator=" ")).to_series(),
        end=start + pl.Series(np.round(random.uniform(1, 7, rows), 2)),
        emotion=pl.Series(LABELS).gather(random.integers(0, len(LABELS), rows)),
    )
    frame.select(
        audio=pl.format("clips/{}/speaker_{}/utterance_{}.flac", pl.col("row") % 64, "speaker", "row"),
        utterance=pl.format("speaker{}-{}", "speaker", "row"),
        speaker=pl.format("speaker{}", "speaker"),
        language=pl.format("language{}", pl.col("speaker") % LANGUAGES),
        accent=pl.format("accent{}", pl.col("speaker") % 37),
        text=pl.format("{} {}", "text", pl.col("row") % 200_000),
        emotion="emotion",
        start="start",
        end="end",
    ).write_csv(folder / "manifest.csv")
    path = folder / "study.toml"
    path.write_text(STUDY.format(scheme=scheme, domain=domain), encoding="utf-8")
    return path


def measure(path: Path) -> None:
    """Run the stages one after the other and print what each took."""
    clock = _Clock()
    from sibboleth import splits
    from sibboleth import study as studies
    from sibboleth.experiment import material, plan
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import load
    from sibboleth.recipes import check
    from sibboleth.runs import RunDirectory

    clock.told("import")
    study = studies.read(path)
    stuff = material.gather(study, without_audio=True)
    clock.told("read and merge")
    folds = splits.folds(stuff.table, study.domain, stuff.target.name, study.splits, study.seed)
    clock.told("folds")
    fits = splits.fits(folds, study.regimes, stuff.table)
    clock.told("fits")
    check.audited(stuff, fits)
    clock.told("audit")
    work = [plan.work(study, settings, load(settings), fits) for settings in study.encoders]
    plan.of(stuff, work, Cache(), RunDirectory(path.parent / "run"), fits)
    clock.told("plan")


class _Clock:
    """Time and memory since the last stage."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def told(self, stage: str) -> None:
        """Print what the stage that ends here took."""
        wall, cpu = time.perf_counter(), time.process_time()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _row(stage, wall - self.wall, cpu - self.cpu, usage.ru_maxrss)
        self.wall, self.cpu = time.perf_counter(), time.process_time()


def _row(stage: str, wall: float, cpu: float, peak: int) -> None:
    kilobytes = peak // 1024 if sys.platform == "darwin" else peak
    print(f"  {stage:32s} {wall:8.2f} s {cpu:8.2f} s {kilobytes / 1024:8.0f} MiB", flush=True)


def whole(path: Path) -> None:
    """Run the command and print what all of it took."""
    command = [sys.executable, "-m", "sibboleth", "plan", str(path), "--without-audio"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        told = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(told.decode())
    _row(
        "sibboleth plan --without-audio", time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--scheme", default="speaker-folds")
    parser.add_argument("--domain", default="language")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write, asked.rows[0], asked.scheme, asked.domain)
        return
    if asked.measure:
        measure(asked.measure)
        return
    again = [sys.executable, __file__, "--scheme", asked.scheme, "--domain", asked.domain]
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            # A process begins with the peak of the one that starts it, so that this one stays small.
            subprocess.run([*again, "--rows", str(rows), "--write", folder], check=True)
            study = Path(folder) / "study.toml"
            size = (study.parent / "manifest.csv").stat().st_size / 1e6
            print(f"{rows} rows, {size:.0f} MB, {asked.scheme} over {asked.domain}: wall, processor, peak", flush=True)
            subprocess.run([*again, "--measure", str(study)], check=True)
            whole(study)


if __name__ == "__main__":
    main()
