"""`python -m sibboleth` is the command line."""

from sibboleth.cli import main

main()
