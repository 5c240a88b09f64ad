"""s3prl's names of encoders in a study and on the command line."""

from pathlib import Path

import pytest

from sibboleth import study, upstreams
from sibboleth.audit import pretraining
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import final
from sibboleth.models.encoders.checkpoint import locate
from sibboleth.settings import checked
from sibboleth.study import EncoderSettings

STUDY = """
name = "upstreams"

[[corpora]]
name = "one"
manifest = "one.csv"

[[encoders]]
name = "{first}"

[[encoders]]
name = "hubert"

[[methods]]
name = "lora"
lora = {{ rank = 2 }}
layers = {{ wavlm_large = 5 }}
"""


def read(folder: Path, first: str) -> study.Study:
    (folder / "study.toml").write_text(STUDY.format(first=first), encoding="utf-8")
    return study.read(folder / "study.toml")


@pytest.mark.parametrize("name", ["wavlm_large", "s3prl:wavlm_large", "microsoft/wavlm-large"])
def test_a_study_may_name_upstreams_and_goes_on_with_their_checkpoints(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, name)
    assert [encoder.name for encoder in found.encoders] == ["microsoft/wavlm-large", "facebook/hubert-base-ls960"]
    assert found.methods[0].layers == {"microsoft/wavlm-large": 5}
    assert final.wanted(found, name, "lora", None, None).encoder.name == "microsoft/wavlm-large"


def test_unknown_upstreams_name_the_nearest_and_features_their_like(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"near are wavlm_large \(microsoft/wavlm-large\)") as caught:
        read(tmp_path, "s3prl:wavlm_larg")
    assert caught.value.problems[0].row == 9
    with pytest.raises(InvalidInput, match="'fbank' is not computed here; its like is the control 'logmel'"):
        read(tmp_path, "s3prl:fbank")
    with pytest.raises(InvalidInput, match="'vggish' is not known here; give a checkpoint of the hub, OWNER/NAME"):
        checked(EncoderSettings, name="s3prl:vggish")
    with pytest.raises(SibbolethError, match=r"Of s3prl's upstreams it is none; near are xls_r_300m .*xls-r-300m"):
        locate("xlsr_300m")


def test_a_folder_of_that_name_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hubert").mkdir()
    assert read(tmp_path, "wavlm_large").encoders[1].name == str(tmp_path / "hubert")
    assert checked(EncoderSettings, name="hubert").name == "facebook/hubert-base-ls960"
    monkeypatch.chdir(tmp_path)
    assert checked(EncoderSettings, name="hubert").name == "hubert"


def test_the_audit_knows_what_every_upstream_has_heard() -> None:
    unknown = [name for name, checkpoint in upstreams.checkpoints().items() if not pretraining.history(checkpoint)]
    assert unknown == [] and len(upstreams.checkpoints()) >= 25
    assert not any(pretraining.trained_with_labels(checkpoint) for checkpoint in upstreams.checkpoints().values())
