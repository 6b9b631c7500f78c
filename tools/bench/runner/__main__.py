# SPDX-License-Identifier: MIT
"""What tools/bench/run starts."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.main import main  # noqa: E402

sys.exit(main())
