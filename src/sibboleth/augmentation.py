"""How speech is changed before an encoder learns from it."""

from pydantic import Field

from sibboleth.settings import Settings


class AugmentationSettings(Settings):
    """How speech is changed before an encoder hears it; targets are made from the speech as it is."""

    gain: float = Field(0.0, ge=0)
    """Decibels up or down, at most."""
    reverberation: float = Field(0.0, ge=0, le=1)
    """Share of the pieces that are put in a room."""
    noise: float = Field(0.0, ge=0, le=1)
    """Share with noise of a random spectrum."""
    babble: float = Field(0.0, ge=0, le=1)
    """Share with a quieter voice of the same batch for a while (as WavLM, Chen et al. 2022)."""
    signal_to_noise: tuple[float, float] = (5.0, 30.0)
    """Decibels, least and most, of noise and of babble."""
    colour: float = Field(0.0, ge=0, le=1)
    """Share through a random smooth filter, as other microphones would hear it."""
