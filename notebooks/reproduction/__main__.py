"""`make reproduce`: see `runner`."""

from .runner import main

main()
