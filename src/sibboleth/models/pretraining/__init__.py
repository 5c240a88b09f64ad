"""Pre-training: encoders that learn from speech without labels, by any of several objectives.

`speech` finds and cuts it, `augmentation` changes it, `start` makes the encoder, `objective` is what all objectives
have in common, `hubert`, `wav2vec2` and `dino` are those there are, `clusters` makes HuBERT's targets, `watch` tells
when an encoder collapses. `models.training` is the loop.
"""
