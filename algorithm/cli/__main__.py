"""`python -m algorithm.cli` is the command flower-v6."""

import sys

from algorithm.cli import main

sys.exit(main())
