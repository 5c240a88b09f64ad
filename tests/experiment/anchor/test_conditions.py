"""The study's conditions, and the numbers that its logs have of them."""

from statistics import mean

import pytest

from sibboleth.experiment.anchor import conditions


@pytest.mark.parametrize(
    ("regime", "language", "source", "domain", "expected"),
    [
        ("within", "zh", "esd", "esd", "ML"),
        ("within", "de", "esd", "esd", "TL"),
        ("within", "de", "iemocap", "iemocap", "TLen"),
        ("within", "en", "iemocap", "iemocap", "ML"),
        ("target-selected", "zh", "esd", "pavoque", "CL"),
        ("target-selected", "de", "esd", "pavoque", None),
        ("two-stage", "de", "pavoque", "esd", "2SFT"),
        ("zero-shot", "en", "iemocap", "esd", "ZS"),
        ("few-shot", "en", "iemocap", "esd", None),
    ],
)
def test_a_condition_is_a_regime_and_an_encoders_language(
    regime: str, language: str, source: str, domain: str, expected: str | None
) -> None:
    assert conditions.condition(regime, language, source, domain) == expected


def test_published_numbers_are_those_of_the_logs() -> None:
    known = {(one.condition, one.method, one.encoder, one.domain): one for one in conditions.published("folds")}
    assert len(known) == 20 and all(len(one.accuracies) == 5 for one in known.values())
    told = {
        ("ML", "lora", "de", "pavoque"): 0.978,
        ("ML", "lora+bottleneck+gate", "zh", "esd"): 0.939,
        ("CL", "lora+bottleneck+gate", "de", "esd"): 0.560,
        ("TLen", "lora+bottleneck+gate", "zh", "iemocap"): 0.677,
        ("2SFT", "lora+bottleneck+gate", "zh", "pavoque"): 0.694,
    }
    assert {key: round(mean(known[key].accuracies), 3) for key in told} == told
    clips = {(one.condition, one.encoder, one.domain): mean(one.accuracies) for one in conditions.published("clips")}
    assert round(clips["ML", "en", "iemocap"], 3) == 0.554 and round(clips["CL", "zh", "pavoque"], 3) == 0.771
    for one in (*known.values(), *conditions.published("clips")):
        regime = {"CL": "target-selected", "2SFT": "two-stage"}.get(one.condition, "within")
        assert conditions.condition(regime, one.encoder, one.source, one.domain) == one.condition
