"""The anchor study as a whole: its file, its studies and listening test from presets, and what became of its claims."""
