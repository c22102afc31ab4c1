"""`python -m mireorder.cli`."""

from mireorder.cli import main

main()
