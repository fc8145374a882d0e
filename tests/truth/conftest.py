"""Puts this folder on the path: the cases and references are shared by the tests here and the benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
