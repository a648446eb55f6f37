"""Makes the helper modules of the suite importable from every test folder."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as ani3dhuman does, should a test import torch first
sys.path.insert(0, str(Path(__file__).parent))
