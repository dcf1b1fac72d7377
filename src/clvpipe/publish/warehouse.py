"""The analysts' warehouse: a database file that takes the place of the one before in one step.

Who has the old one open keeps that file; the name moves on. A session that writes, which analysts may begin,
leaves a log of changes beside the name. It belongs to the old file alone: beside a new one no reader could
open either, and it may hold customers who were erased.
"""

from clvpipe.publish.files import sync_directory, sync_file
from clvpipe.publish.layout import Layout


def keep_warehouse(layout: Layout) -> None:
    """Give analysts the working database, which nobody has open any more."""
    sync_file(layout.work_database)
    layout.warehouse_log.unlink(missing_ok=True)
    layout.work_database.replace(layout.warehouse)
    sync_directory(layout.state)


def remove_warehouse(layout: Layout) -> None:
    """Take it away; the next run that publishes makes it anew."""
    layout.warehouse_log.unlink(missing_ok=True)
    layout.warehouse.unlink(missing_ok=True)
    sync_directory(layout.state)
