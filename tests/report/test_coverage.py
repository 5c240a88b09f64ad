"""What intervals from few speakers were measured to hold stands beside the explanation of intervals."""

from collections.abc import Callable

import pytest

from sibboleth.report import page
from sibboleth.runs import RunDirectory


@pytest.mark.parametrize(("speakers", "told"), [(12, True), (30, False)])
def test_measured_coverage_is_told_below_thirty_speakers(
    make_run: Callable[..., RunDirectory], speakers: int, told: bool
) -> None:
    made = make_run(speakers=speakers, domains=("de",), encoders={"logmel": 1}, regimes=("within",), comparisons=False)
    page.write(made)
    text = (made.path / "report.html").read_text(encoding="utf-8")
    sentence = f"With {speakers} speakers an interval meant to hold"
    assert (sentence in text) == told
    assert "in each test" in text
