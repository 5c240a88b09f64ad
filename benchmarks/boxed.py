"""What the encoders in the box are worth: emotion and speaker probes beside the controls, with intervals.

    python benchmarks/boxed.py [--emodb FOLDER] [--nemo FOLDER] [--output FOLDER]

Speaks the controlled corpus, takes real corpora where they are given, and runs two studies: emotion with whole speakers
held out (four folds of the controlled corpus's twelve, one speaker at a time of real ones), and who speaks, with
utterances held out at random. Prints UAR with its interval, and the paired difference of each encoder in the box from
the same architecture untrained and from log-mel statistics.
"""

import argparse
from pathlib import Path

import polars as pl

from sibboleth import corpora
from sibboleth.corpus import write
from sibboleth.models.encoders import box
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.run import run

CONTROLS = ("untrained:sibboleth-tiny", "logmel")
HEADINGS = ("| target | speech | encoder | UAR | above untrained | above log-mel |", "|---|---|---|---|---|---|")
HEAD = """name = "{name}"
domain = "{domain}"
regimes = ["within"]
allow = {allow}
[target]
column = "{column}"
[splits]
{splits}
[report]
audio = "none"
"""
STUDIES = {
    "emotion": ([], {"controlled": "folds = 4", "real": 'scheme = "leave-one-speaker-out"'}),
    "speaker": (
        ["shared-speakers", "shared-sessions", "label-speaker-confound"],
        dict.fromkeys(("controlled", "real"), 'scheme = "random-folds"\nfolds = 4'),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emodb", type=Path)
    parser.add_argument("--nemo", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/boxed"))
    parser.add_argument("--also", nargs="*", default=[], help="other encoders to put beside them")
    parser.add_argument("--cards", action="store_true", help="write the scores of each into its model card")
    asked = parser.parse_args()
    prepare("synthetic", asked.output / "speech")
    manifests = {"controlled": {"controlled": asked.output / "speech" / "manifest.csv"}, "real": {}}
    for name, root in (("emodb", asked.emodb), ("nemo", asked.nemo)):
        if root is not None:
            manifests["real"][name] = write(corpora.prepare(name, root), asked.output / f"{name}.csv")
    encoders, rows = [*box.names(), *asked.also, *CONTROLS], []
    for target, (allow, splits) in STUDIES.items():
        for kind, files in manifests.items():
            if files:
                head = HEAD.format(
                    name=f"{target}-{kind}",
                    domain="language" if kind == "controlled" else "corpus",
                    allow=str(allow).replace("'", '"'),
                    column=target,
                    splits=splits[kind],
                )
                rows += table(answer(asked.output, f"{target}-{kind}", head, files, encoders), target)
    print("\n".join([*HEADINGS, *(line for _, line in rows)]))
    for name in box.names() if asked.cards else ():
        write_card(box.FOLDER / name / "README.md", [line for encoder, line in rows if encoder in (name, *CONTROLS)])


def answer(output: Path, name: str, head: str, files: dict[str, Path], encoders: list[str]) -> Path:
    parts = [f'[[corpora]]\nname = "{one}"\nmanifest = "{file.absolute()}"' for one, file in files.items()]
    parts += [f'[[encoders]]\nname = "{one}"' for one in encoders]
    study = output / f"{name}.toml"
    study.write_text("\n".join([head, *parts]) + "\n")
    run(study, output=output / name)
    return output / name


def table(directory: Path, target: str) -> list[tuple[str, str]]:
    """Return a line for each encoder and domain."""
    runs = pl.read_parquet(directory / "cells.parquet").select("run", "encoder", "domain")
    scores = pl.read_parquet(directory / "scores.parquet").filter(
        (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    )
    compared = pl.read_parquet(directory / "comparisons.parquet").filter(
        (pl.col("metric") == "uar") & (pl.col("slice") == "all")
    )
    found, lines = scores.join(runs, on="run"), []
    for domain in found["domain"].unique().sort():
        mine = found.filter(pl.col("domain") == domain)
        control = {one: mine.filter(pl.col("encoder") == one)["run"].item() for one in CONTROLS}
        for row in mine.sort("encoder").to_dicts():
            against = [difference(compared, row["run"], control[one]) for one in CONTROLS]
            uar = f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            lines.append(
                (row["encoder"], f"| {target} | {domain} | {row['encoder']} | {uar} | {' | '.join(against)} |")
            )
    return lines


def write_card(card: Path, lines: list[str]) -> None:
    """Put the scores into a model card, in the place of older ones."""
    before, _, after = card.read_text(encoding="utf-8").partition("## Scores")
    limits = after[after.index("## Limits") :]
    told = "UAR with 95 % intervals over speakers: linear probes on the layer that dev chose (`benchmarks/boxed.py`)."
    card.write_text("\n".join([before + "## Scores", "", told, "", *HEADINGS, *lines, "", limits]), encoding="utf-8")


def difference(compared: pl.DataFrame, one: str, other: str) -> str:
    for a, b, sign in ((one, other, 1), (other, one, -1)):
        for row in compared.filter((pl.col("a_run") == a) & (pl.col("b_run") == b)).to_dicts():
            low, high = sorted((sign * row["low"], sign * row["high"]))
            return f"{sign * row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
    return ""


if __name__ == "__main__":
    main()
