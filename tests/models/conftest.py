"""Fixtures that the tests of the numerics share."""

import os
from pathlib import Path

import pytest

from clvpipe.models.fit import PurchaseFit, fit_purchases
from tests.models.reference_data import Customers, read_cdnow


@pytest.fixture(scope="session")
def cdnow() -> Customers:
    """CDNOW 1/10 sample, calibration to 1997-09-30."""
    return read_cdnow()


@pytest.fixture(scope="session")
def cdnow_fit(cdnow: Customers) -> PurchaseFit:
    return fit_purchases(cdnow.patterns, seed=1)


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Folder of independent reference results; its absence is an error where it must be there (CI)."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("CLVPIPE_SHARED", "../shared")).resolve()
    folder = (folder if folder.is_absolute() else root / folder) / "oracles"
    if not folder.is_dir():
        reason = f"no oracle folder at {folder}; set CLVPIPE_SHARED"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
