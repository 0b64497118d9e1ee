"""`python -m runstream.cli`: the same as the program `runstream`."""

import sys

from runstream.cli.commands import main

sys.exit(main())
