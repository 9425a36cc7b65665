"""`python -m affiliate`: the command line, also where its script is not on the path."""

from affiliate.cli import main

main(prog_name="affiliate")
