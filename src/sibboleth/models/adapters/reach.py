"""Which layers of an encoder a method keeps and trains, and whether it can."""

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.methods import MethodSettings
from sibboleth.models.encoders.contract import Encoder
from sibboleth.models.encoders.transformer import Transformer


def reach(method: MethodSettings, encoder: Encoder) -> tuple[int, int]:
    """Return the hidden state above which a method trains, and the one that its head hears.

    They are the same for a method that trains the head alone, unless it mixes layers. Raises `InvalidInput` for layers
    that the encoder does not have, and `SibbolethError` for an encoder that cannot be adapted.
    """
    name, there = encoder.name, encoder.layers - 1
    kept = method.kept(name, there)
    if not 0 <= kept <= there:
        raise InvalidInput(
            f"method {method.name!r}: layers = {kept}, but encoder {name!r} has {there}; give 0 to {there}, or a table "
            f'with a number for each encoder: {{ "{name}" = {there} }}'
        )
    if not method.adapts:
        if method.mix and method.lowest > kept:
            raise InvalidInput(
                f"method {method.name!r}: lowest = {method.lowest} is above the {kept} layers that are kept of encoder "
                f"{name!r}, so nothing is left to mix; lower it"
            )
        return (method.lowest if method.mix else kept), kept
    if not isinstance(encoder, Transformer) or not encoder.frames:
        kind = "gives one embedding per utterance" if not encoder.frames else "has no transformer layers that are known"
        raise SibbolethError(
            f"encoder {name!r}: {kind}, so method {method.name!r} can train nothing in it. Use a method that trains "
            'the head alone (train = "head", no adapters), or another encoder'
        )
    if method.lowest >= kept:
        raise InvalidInput(
            f"method {method.name!r}: lowest = {method.lowest} leaves nothing to train in the {kept} layers that are "
            f"kept of encoder {name!r}; it must be below that"
        )
    return method.lowest, kept
