"""`python -m gatehouse_operate.adopt` is gatehouse-adopt."""

import sys

from .cli import main

sys.exit(main())
