"""Fixtures."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import settings

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.locations import resource_dir
from clvpipe.stages.session import Request, run_stages
from tests.support import Bench

settings.register_profile("clvpipe", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("clvpipe")

CDNOW_DAY = date(1997, 9, 30)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty folder to deliver into."""
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The output folder of the CDNOW run as of 1997-09-30, cross-checked."""
    out = tmp_path_factory.mktemp("cdnow") / "out"
    path = resource_dir("config") / "cdnow.toml"
    request = Request(
        settings=load_settings(path),
        config_path=path,
        out=out,
        stages=STAGES,
        as_of=CDNOW_DAY,
        crosscheck=True,
    )
    run_stages(request)
    yield out


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of the bank sample's own run."""
    out = tmp_path_factory.mktemp("sample") / "out"
    path = resource_dir("config") / "sample.toml"
    request = Request(
        settings=load_settings(path), config_path=path, out=out, stages=STAGES, as_of=date(2024, 6, 30)
    )
    run_stages(request)
    return out
