"""Public corpora in their published layouts, one file each, and the controlled corpus."""
