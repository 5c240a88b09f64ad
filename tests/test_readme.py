"""What the README shows is true: its study file is valid, its verbs exist, its tree is the tree."""

import re
from pathlib import Path

import pytest

from sibboleth import cli, pretraining, study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    every = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for marked, text in every if marked == language]


def test_the_study_file_is_valid_and_so_is_every_line_commented_out(tmp_path: Path) -> None:
    text, *_ = blocks("toml")
    for name, shown in (("plain", text), ("all", re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))):
        (tmp_path / f"{name}.toml").write_text(shown, encoding="utf-8")
    plain = study.read(tmp_path / "plain.toml")
    every = study.read(tmp_path / "all.toml")
    assert [encoder.name for encoder in plain.encoders][0] == "logmel"
    assert plain.corpora[0].columns == {}
    assert every.corpora[0].columns == {"speaker": "client_id"}


def test_the_pretraining_file_is_valid_and_so_is_what_is_commented_out(tmp_path: Path) -> None:
    *_, text = blocks("toml")
    asked = re.sub(r"^# (?=(?:hours|accumulate|workers) = )", "", text, flags=re.MULTILINE)
    other = re.sub(r"^checkpoint = .*\n# (?=architecture = )", "", text, flags=re.MULTILINE)
    again = re.sub(r"^targets = .*\n# (?=targets = )", "", text, flags=re.MULTILINE)
    for name, shown in (("plain", text), ("asked", asked), ("other", other), ("again", again)):
        (tmp_path / f"{name}.toml").write_text(shown, encoding="utf-8")
    plain, more, new, next_one = (
        pretraining.read(tmp_path / f"{name}.toml") for name in ("plain", "asked", "other", "again")
    )
    assert plain.start.checkpoint == "sibboleth-tiny-en"
    assert (more.corpora[0].hours, more.batches.accumulate, more.batches.workers) == (10, 4, 4)
    assert new.start.architecture == "sibboleth-tiny"
    assert isinstance(next_one.objective, pretraining.HubertObjective)
    assert next_one.objective.targets[0].layer == 4


def test_the_methods_are_valid_and_so_is_every_line_commented_out(tmp_path: Path) -> None:
    _, text, _ = blocks("toml")
    every = re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)
    for name, shown in (("plain", text), ("all", every)):
        rest = '[[corpora]]\nname = "one"\nmanifest = "one.csv"\n'
        (tmp_path / f"{name}.toml").write_text(f'name = "shown"\n{shown}{rest}', encoding="utf-8")
    plain, more = (study.read(tmp_path / f"{name}.toml") for name in ("plain", "all"))
    assert [one.name for one in plain.methods] == ["head", "lora"] and plain.methods[1].lowest == 3
    lora = more.methods[1]
    assert lora.bottleneck and lora.gate and lora.mix and lora.layers == 5 and lora.head.hidden == (128, 16)
    assert more.training.head_first == 2 and more.training.augmentation.speed == (0.9, 1.0, 1.1)


def test_what_the_study_file_says_of_defaults_is_so(tmp_path: Path) -> None:
    """Values shown in the README equal the defaults, but for the corpora and encoders."""
    text, *_ = blocks("toml")
    (tmp_path / "shown.toml").write_text(text, encoding="utf-8")
    shown = study.read(tmp_path / "shown.toml")
    default = study.Study(name=shown.name, corpora=shown.corpora)
    for field in ("domain", "regimes", "seeds", "layer_mix", "allow", "probe", "splits", "statistics", "report"):
        assert getattr(shown, field) == getattr(default, field), field


def test_every_verb_that_is_shown_exists() -> None:
    shown = set(re.findall(r"^(?:\S*/)?sibboleth ([a-z-]+)(?: ([a-z]+))?", "\n".join(blocks("")), re.MULTILINE))
    assert {verb for verb, _ in shown} >= {"corpus", "check", "run", "score", "demo"}
    for verb, word in shown:
        assert verb in cli.app
        if verb == "corpus":
            assert word in cli.corpus


def test_every_path_in_the_tree_is_there() -> None:
    """The annotated tree names every module and package at its top level, and nothing else."""
    (tree,) = [block for block in blocks("") if block.startswith("src/sibboleth/")]
    shown = set(re.findall(r"^  ([a-z_]+(?:\.py|/))", tree, re.MULTILINE))
    folder = ROOT / "src" / "sibboleth"
    real = {f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir() if path.name[0] != "_"}
    assert shown == real - {"py.typed"}


@pytest.mark.parametrize(
    "name",
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md")))],
)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
