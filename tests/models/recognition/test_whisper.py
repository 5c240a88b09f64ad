"""Whisper writes what `generate` by hand writes, for each utterance alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import recognition
from sibboleth.models.encoders.contract import EncodingError
from sibboleth.models.encoding import Recording
from sibboleth.models.recognition import Recogniser
from sibboleth.study import EncoderSettings

RATE = 16_000


def load(folder: Path, language: str | None = None) -> Recogniser:
    return recognition.load(EncoderSettings(name=str(folder)), language)


def by_hand(folder: Path, audio: Any, **asked: Any) -> str:
    processor: Any = transformers.WhisperProcessor.from_pretrained(folder)
    model: Any = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    long = len(audio) > 30 * RATE
    more = {"truncation": False, "padding": "longest", "return_attention_mask": True} if long else {}
    inputs = processor(audio, sampling_rate=RATE, return_tensors="pt", **more)
    asked |= {"return_timestamps": True} if long else {}
    made = model.eval().generate(**inputs, task="transcribe", do_sample=False, **asked)
    return str(processor.batch_decode(made, skip_special_tokens=True)[0]).strip()


def files(folder: Path, several: list[Any]) -> list[Recording]:
    made = []
    for index, audio in enumerate(several):
        path = folder / f"{index}.wav"
        soundfile.write(path, audio, RATE, subtype="FLOAT")
        made.append(Recording(f"digest {index}", str(path), None, None, len(audio) / RATE))
    return made


@pytest.mark.usefixtures("three_threads")
def test_it_writes_what_generate_writes(whisper: Path, speech: list[Any], tmp_path: Path) -> None:
    expected = [by_hand(whisper, audio, language="nl") for audio in speech]
    assert len(set(expected)) > 2, "the test's model must heed what it hears"
    made = load(whisper, "nl")
    assert [made.transcribe(audio, RATE) for audio in speech] == expected
    recordings = files(tmp_path, speech)
    assert [one.text for one in made.transcripts(recordings[::-1])] == expected[::-1]


def test_languages_go_by_code_and_name_and_are_found_out_where_none_is_given(whisper: Path, speech: list[Any]) -> None:
    dutch, german = load(whisper, "nl"), load(whisper, "de")
    assert load(whisper, "Dutch").identity == load(whisper, "flemish").identity == dutch.identity != german.identity
    texts = [made.transcribe(speech[1], RATE) for made in (dutch, german, load(whisper))]
    assert texts == [by_hand(whisper, speech[1], language=code) for code in ("nl", "de", None)]
    assert any("finds out the language" in note for note in load(whisper).notes)
    assert not any("finds out the language" in note for note in dutch.notes)
    with pytest.raises(InvalidInput, match=r"does not know the language 'frysk'; it knows de, en, nl"):
        load(whisper, "frysk")


def test_long_audio_is_generated_in_transformers_own_way(whisper: Path, speech: list[Any], tmp_path: Path) -> None:
    long = np.concatenate([*speech] * 4)
    made = load(whisper, "nl")
    expected = by_hand(whisper, long, language="nl", temperature=0.0, condition_on_prev_tokens=False)
    assert expected
    assert made.transcribe(long, RATE) == expected
    (from_file,) = made.transcripts(files(tmp_path, [long]))
    assert from_file.text == expected


def test_less_precision_is_another_recogniser(whisper: Path, speech: list[Any]) -> None:
    made = recognition.load(EncoderSettings(name=str(whisper), precision="bfloat16"), "nl")
    assert made.identity != load(whisper, "nl").identity
    assert len(made.transcribe(speech[1], RATE)) > 10


@pytest.fixture
def copy(whisper: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whisper, tmp_path / "model"))


def change(file: Path, remove: tuple[str, ...] = (), **values: object) -> None:
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps({name: value for name, value in content.items() if name not in remove}))


def test_a_model_of_english_alone_is_asked_nothing(copy: Path, speech: list[Any]) -> None:
    change(copy / "generation_config.json", ("lang_to_id", "task_to_id"), is_multilingual=False)
    made = load(copy)
    assert made.transcribe(speech[0], RATE) and not any("finds out" in note for note in made.notes)
    assert load(copy, "english").identity == made.identity
    with pytest.raises(InvalidInput, match="hears English alone"):
        load(copy, "nl")


def test_a_checkpoint_without_generation_config(copy: Path, speech: list[Any], tmp_path: Path) -> None:
    """As fine-tuned ones may come: it transcribes; a language cannot be asked for, and long audio is left out."""
    (copy / "generation_config.json").unlink()
    change(copy / "config.json", max_length=24)
    with pytest.raises(InvalidInput, match=r"generation_config.json.*leave --language out"):
        load(copy, "nl")
    first, second = load(copy).transcripts(files(tmp_path, [speech[0], np.concatenate([*speech] * 4)]))
    assert first.text is not None
    assert second.text is None and "longer than 30 s" in str(second.failure)
    with pytest.raises(EncodingError, match="cut it"):
        load(copy).transcribe(np.concatenate([*speech] * 4), RATE)


def test_an_encoder_alone_and_a_missing_tokenizer(copy: Path, tmp_path: Path) -> None:
    model: Any = transformers.WhisperForConditionalGeneration.from_pretrained(copy)
    kept = {name: one for name, one in model.state_dict().items() if name.startswith("model.encoder.")}
    whole = Path(shutil.copytree(copy, tmp_path / "encoder"))
    model.save_pretrained(whole, state_dict=kept)
    with pytest.raises(SibbolethError, match="no decoder"):
        load(whole).prepare()
    (copy / "tokenizer.json").unlink()
    with pytest.raises(SibbolethError, match="no tokenizer"):
        load(copy)
