"""The command line: quick to answer, plain about mistakes, never a traceback."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from sibboleth import cli

VERBS = ["demo", "run", "check", "corpus", "encode", "cache", "score", "report"]


def sibboleth(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sibboleth", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sibboleth.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'polars', 'numpy', 'altair'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "verb", [[verb] for verb in VERBS if verb not in ("corpus", "cache")] + [["corpus", "describe"]]
)
def test_every_verb_explains_itself(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*verb, "--help"])
    assert "Usage: sibboleth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["translate"], "translate"),
        (["run", "a.toml", "[/b]"], "[/b]"),
        (["run", "[/b].toml"], "[/b].toml: no such file"),
        (["run"], "study"),
        (["run", "nowhere.toml"], "nowhere.toml: no such file"),
        (["check", "nowhere.toml"], "nowhere.toml"),
        (["corpus", "describe", "nowhere.csv"], "nowhere.csv"),
        (["corpus", "prepare", "nocorpus", "."], "nocorpus"),
        (["report", "nowhere"], "nowhere"),
        (["score", "nowhere.csv"], "nowhere.csv"),
        (["encode", "logmel", "nowhere.csv"], "nowhere.csv"),
        (["plan", "nowhere.toml"], "nowhere.toml"),
        (["plan-power", "--level", "2"], "level"),
        (["protocol", "show", "nothing"], "nothing"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 2, told
    assert said in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_2_and_no_traceback(tmp_path: Path) -> None:
    done = sibboleth("run", "nowhere.toml", folder=tmp_path)
    assert done.returncode == 2 and "nowhere.toml: no such file" in done.stderr and "Traceback" not in done.stderr


def test_each_verb_is_a_function_of_the_same_name() -> None:
    for app in (cli.app, cli.corpus, cli.cache, cli.listen, cli.preset, cli.protocol):
        for name in app:
            if name.startswith("-") or name in ("corpus", "cache", "listen", "preset", "protocol", "help", "version"):
                continue
            assert callable(app[name].default_command), name
    assert callable(importlib.import_module("sibboleth.recipes.run").run)
