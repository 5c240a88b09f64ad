"""One linear file per verb of the command line; each is also a Python function."""
