"""The page, its figures and tables, from a run directory alone."""
