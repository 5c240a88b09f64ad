"""Training data by concatenation: utterances of one speaker put together, and when the emotion changes in them."""
