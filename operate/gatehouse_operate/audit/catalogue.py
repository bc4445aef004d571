"""The complete list of checks. Modules that need all of them import it from here."""

import gatehouse_operate.audit.checks  # noqa: F401 - importing the modules registers their checks
from gatehouse_operate.audit.finding import CHECKS

__all__ = ["CHECKS"]
