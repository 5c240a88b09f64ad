"""EMOVO: Italian, 6 actors, 14 sentences, 7 emotions.

Layout (as unpacked)::

    f1/dis-f1-b1.wav    48 kHz, mostly stereo; emotion, actor (f1-f3, m1-m3), sentence: b short, l long, n nonsense,
                        d questions

Source: http://voice.fub.it/activities/corpora/emovo/index.html. Licence: for research; none stated.
Reference: Costantini, Iaderola, Paoloni, Todisco: EMOVO corpus: an Italian emotional speech database. LREC 2014,
https://aclanthology.org/L14-1478/.
Layout read in: datasets/EMOVO/process.py of https://github.com/Strong-AI-Lab/emotion (names, texts);
data/emovo/emovo.csv of https://github.com/felixbur/nkululeko; EmoBox/preprocess/scripts/emovo.py of
https://github.com/emo-box/EmoBox (ages).
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "EMOVO's folder has f1/dis-f1-b1.wav and its like, of the actors f1 to f3 and m1 to m3"
FORM = "emotion, actor, sentence, as in dis-f1-b1"

SPEAKERS = {"f1": 28, "f2": 23, "f3": 25, "m1": 30, "m2": 27, "m3": 30}
"""Age in years; the letter is the sex."""

SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}

EMOTIONS = {
    "dis": "disgusted",
    "gio": "happy",
    "neu": "neutral",
    "pau": "fearful",
    "rab": "angry",
    "sor": "surprised",
    "tri": "sad",
}
"""First letters of the Italian word: disgusto, gioia, neutro, paura, rabbia, sorpresa, tristezza."""

CARD = Card(
    title="acted emotions in Italian: 6 actors, the same 14 sentences in each of seven emotions",
    languages=("it",),
    targets=("emotion", "text"),
    address="http://voice.fub.it/activities/corpora/emovo/index.html",
    licence="none stated; for research",
    reference="Costantini, Iaderola, Paoloni, Todisco: EMOVO corpus: an Italian emotional speech database. LREC 2014, "
    "https://aclanthology.org/L14-1478/",
    layout="https://github.com/Strong-AI-Lab/emotion/blob/master/datasets/EMOVO/process.py",
    counts={
        "utterances": 588,
        "speakers": len(SPEAKERS),
        **{f"emotion.{emotion}": 84 for emotion in EMOTIONS.values()},
        **{f"speaker.{speaker}": 98 for speaker in SPEAKERS},
    },
    labels={"emotion": EMOTIONS},
    remarks=("all actors say the same sentences: whoever holds out actors alone tests on sentences of training",),
)

_NAME = re.compile(rf"({'|'.join(EMOTIONS)})-({'|'.join(SPEAKERS)})-({'|'.join(SENTENCES)})")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `age`, `sentence` (code), `emotion`. Raises `InvalidInput` when the folder is not EMOVO's.
    """
    return assemble("emovo", (_row(*one) for one in names.recordings(root, _name, LAYOUT, FORM).items()))


def _name(file: Path) -> str | None:
    name = file.stem.strip().lower()
    return name if _NAME.fullmatch(name) else None


def _row(name: str, file: Path) -> dict[str, object]:
    emotion, speaker, sentence = name.split("-")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "it",
        "text": SENTENCES[sentence],
        "emotion": EMOTIONS[emotion],
        "sex": "female" if speaker[0] == "f" else "male",
        "age": SPEAKERS[speaker],
        "sentence": sentence,
    }
