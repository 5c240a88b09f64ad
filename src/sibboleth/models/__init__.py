"""Machines that answer: encoders, features, probes. The only folder that imports torch."""
