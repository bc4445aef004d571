"""Tests of gatehouse-adopt. The package is imported from the checkout."""

import pathlib
import sys

OPERATE = pathlib.Path(__file__).resolve().parents[2]
if str(OPERATE) not in sys.path:
    sys.path.insert(0, str(OPERATE))
