"""Settings: TOML in, frozen and validated objects out. Defaults, then a preset, then the user's file."""

from clvpipe.config.base import Threshold
from clvpipe.config.inputs import TableInput
from clvpipe.config.load import load_pipeline, load_settings
from clvpipe.config.settings import Pipeline, Settings

__all__ = ["Pipeline", "Settings", "TableInput", "Threshold", "load_pipeline", "load_settings"]
