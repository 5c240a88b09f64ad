"""The anchor study's preset: its own leaks are found, each allowed by name or a warning."""

import re
from pathlib import Path

import pytest
from tests import anchor

from sibboleth.audit import Finding
from sibboleth.errors import RefusedByAudit
from sibboleth.recipes.check import check


def found(folder: Path, **asked: bool) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(anchor.written(folder), **asked)}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    return found(tmp_path_factory.mktemp("anchor"), without_audio=True)


def test_its_errors_are_allowed_by_name_and_stand_there(findings: dict[str, Finding]) -> None:
    errors = {name for name, finding in findings.items() if finding.grade == "error"}
    assert errors == {"shared-speakers", "shared-sessions"}
    assert all(findings[name].allowed for name in errors)
    told = findings["shared-speakers"].message
    assert "Train and test share speakers (1 of 1 in pavoque fold-1" in told
    assert "dev and test share speakers (2 of 2 in esd" in told
    assert "train of the second stage and test share speakers (1 of 1" in told
    assert findings["shared-speakers"].count == 3 * 5 * 200, "all that is tested"
    assert "dev and test share sessions (1 of 1" in findings["shared-sessions"].message


def test_the_rest_are_warnings(findings: dict[str, Finding]) -> None:
    warned = {name: finding for name, finding in findings.items() if finding.grade == "warning"}
    assert set(warned) == {
        "dev-shares-speakers",
        "shared-sentences",
        "target-labels-select",
        "one-speaker-domain",
        "labelled-encoder",
    }
    assert warned["one-speaker-domain"].message.endswith("pavoque.")
    assert "1 encoder trained with labels: facebook/wav2vec2-base-960h (transcripts" in (
        warned["labelled-encoder"].message
    )
    esd = {name for name in warned["shared-sentences"].utterances if name.startswith("esd/")}
    assert len(esd) > 0.98 * 1000, "ESD is parallel"
    assert findings["target-labels-train"].grade == "note"


def test_what_is_not_drawn_is_no_fault_of_the_audio(findings: dict[str, Finding]) -> None:
    assert "excluded-audio" not in findings
    assert "not drawn by splits.per_label and splits.balance (16472)" in findings["unasked-utterances"].message
    assert "no label in column 'emotion' (575)" in findings["unasked-utterances"].message


def test_without_the_names_it_is_refused_and_without_the_leak_it_is_not(tmp_path: Path) -> None:
    path = anchor.written(tmp_path)
    text = re.sub(r"^allow = .*$", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(text)
    with pytest.raises(RefusedByAudit, match="2 errors"):
        check(path, without_audio=True)
    honest = text.replace('dev_unit = "held-out"\ndev = 0.5', 'dev = 0.2\ntest_only = ["pavoque"]')
    path.write_text(honest.replace(', pavoque = "random-folds"', ""))
    assert all(finding.grade != "error" for finding in check(path, without_audio=True))
