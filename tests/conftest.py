"""What every test of every package shares: how hard Hypothesis looks."""

import os

from hypothesis import settings


# No deadline in either profile: how long an example takes depends on who else uses the machine.
settings.register_profile("local", deadline=None, max_examples=30)
# Derandomized: a red build must be red again when it is run again.
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
