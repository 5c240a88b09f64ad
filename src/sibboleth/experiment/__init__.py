"""A study carried out: its material, the plan, the cells that are trained, and the record of the run."""
