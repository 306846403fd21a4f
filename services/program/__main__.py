"""`python -m services.program` is `greenchannel`."""

from services.program.cli import main

main()
