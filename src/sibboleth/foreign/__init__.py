"""Answers that other tools and people made, read from their files into predictions."""
