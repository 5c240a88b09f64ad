"""What is shown is what was written, whoever wrote it."""

import io
import subprocess
import sys

import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from sibboleth import progress
from sibboleth.terminal import Terminal

ODD = "[red]x[/] [/] [link=https://example.org]y[/link] :smile: \\[bold]"


def shown(*what: object, **options: object) -> str:
    file = io.StringIO()
    Terminal(file=file, width=200, **options).print(*what)
    return file.getvalue()


def test_brackets_and_colons_are_shown_as_they_are_in_lines_and_tables() -> None:
    table = Table(title=ODD, caption=ODD)
    table.add_column(ODD)
    table.add_row(ODD)
    table.add_row(Text(ODD, style="bold"))
    assert shown(ODD).strip() == ODD
    assert shown(Group(ODD, table)).count(ODD) == 6


def test_no_name_moves_the_cursor_and_styles_still_work() -> None:
    evil = "a\x1b[2Jb\x1b]0;title\x07c\x9bd\x08e\nf"
    assert shown(evil) == shown(Text(evil)) == "a[2Jb]0;titlecde\nf\n"
    coloured = shown(Text(evil, style="red"), force_terminal=True, color_system="standard")
    assert coloured == "\x1b[31ma[2Jb]0;titlecde\x1b[0m\n\x1b[31mf\x1b[0m\n"


def test_a_bar_says_a_name_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (False, True):
        file = io.StringIO()
        monkeypatch.setattr(progress, "console", Terminal(file=file, force_terminal=terminal, width=200))
        assert list(progress.track([1, 2], f"Encoding {ODD}", 2, "s")) == [1, 2]
        assert f"Encoding {ODD}" in file.getvalue()


def test_an_error_about_a_file_names_the_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sibboleth", "corpus", "describe", "[red]no[/]\x1b[2J.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "error: " in done.stderr and "[red]no[/][2J.csv" in done.stderr and "\x1b" not in done.stderr
