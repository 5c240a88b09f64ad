"""What the report says became of a gap."""

import pytest

from sibboleth.report.alignment import became

ABOVE, ZERO, BELOW = (0.1, 0.3), (-0.1, 0.2), (-0.3, -0.1)


def contrasts(**limits: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {
        name.replace("_", " "): {"estimate": sum(pair) / 2, "low": pair[0], "high": pair[1]}
        for name, pair in {"within": ZERO, "zero-shot": ABOVE, **limits}.items()
    }


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"gap_before": ABOVE, "gap_closed": ABOVE, "gap_after": ZERO}, "vanishes"),
        ({"gap_before": ABOVE, "gap_closed": ABOVE, "gap_after": BELOW}, "vanishes"),
        ({"gap_before": ABOVE, "gap_closed": ABOVE, "gap_after": ABOVE}, "shrinks"),
        ({"gap_before": ABOVE, "gap_closed": ZERO, "gap_after": ABOVE}, "stays"),
        ({"gap_before": ABOVE, "gap_closed": ZERO, "gap_after": ZERO}, "not clear"),
        ({"gap_before": ABOVE, "gap_closed": BELOW, "gap_after": ABOVE}, "grows"),
        ({"gap_before": ZERO, "gap_closed": ABOVE, "gap_after": ZERO}, "no gap before"),
        (
            {"gap_before": ABOVE, "gap_closed": ABOVE, "gap_after": ZERO, "within": BELOW, "zero-shot": ZERO},
            "closes, as within falls",
        ),
        ({"gap_before": ABOVE, "gap_closed": ABOVE, "gap_after": ZERO, "within": BELOW}, "vanishes"),
        ({"gap_before": (float("nan"),) * 2, "gap_closed": ABOVE, "gap_after": ZERO}, "no gap before"),
    ],
)
def test_a_gap_is_judged_by_its_intervals(limits: dict[str, tuple[float, float]], said: str) -> None:
    assert became(contrasts(**limits), 1) == said


def test_where_lower_is_better_the_signs_turn() -> None:
    turned = {"gap_before": BELOW, "gap_closed": BELOW, "gap_after": ZERO, "zero-shot": BELOW}
    assert became(contrasts(**turned), -1) == "vanishes"


def test_without_within_nothing_is_said_of_a_gap() -> None:
    assert became(contrasts(), 1) == ""
