"""Settings of all tests: under CI and `make test` hypothesis draws the same examples every time, elsewhere others."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") or os.environ.get("METAPLASTIC_TEST_INSTALLED"):
    settings.load_profile("ci")
