"""`python -m gatehouse_operate.audit`."""

import sys

from gatehouse_operate.audit.cli import main

sys.exit(main())
