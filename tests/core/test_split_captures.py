"""A capture whose lines lie in a file of each CPU is the capture in one file."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import pytest

from core.accesses import SCHEMA
from core.events import digest_events
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.ftrace.memory import Memory

PART = Path(__file__).parents[1] / "inputs" / "data"
