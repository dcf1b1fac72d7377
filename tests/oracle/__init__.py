"""The published datasets against a brute force that shares nothing with the SQL."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.checks")
