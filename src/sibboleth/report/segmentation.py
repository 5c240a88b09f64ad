"""Segments: timelines of the utterances most wrong and of typical ones, parts of the errors, and baselines beside."""
