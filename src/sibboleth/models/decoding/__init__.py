"""Decoding: from what a head says of every frame to segments. Without torch."""
