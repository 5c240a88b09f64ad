"""Which encoder, layer and fine-tuning for this language, dialect or accent? For models and listeners alike."""
