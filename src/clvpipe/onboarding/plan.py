"""What a run would do, by looking alone: nothing is written, not even the output folder."""

from dataclasses import dataclass

from clvpipe.calibration import current
from clvpipe.extracts import find_files
from clvpipe.privacy import load_identity
from clvpipe.publish import Layout
from clvpipe.stages.ledger import is_known, reader_digest
from clvpipe.stages.session import Request


@dataclass(frozen=True)
class Plan:
    """The work of a run.

    Attributes:
        stages: In order.
        new_files: Deliveries that would be read.
        known_files: Files whose content is in the ledger already.
        calibration: The one that would be used, or None: it would be made.
        out: Where it would be published.
    """

    stages: tuple[str, ...]
    new_files: tuple[str, ...]
    known_files: int
    calibration: str | None
    out: str


def plan(request: Request) -> Plan:
    """Look at the inputs, the ledger and the calibrations.

    Raises:
        ConfigError: The key of the pseudonyms is not there.
        InputError: A glob matches nothing or a file cannot be read.
    """
    layout = Layout(request.out.absolute())
    base = request.config_path.absolute().parent
    identity = load_identity(request.settings.privacy, base)
    files = [
        (file, is_known(layout, name, file, reader_digest(request.settings, identity, name)))
        for name, table in request.settings.inputs.configured.items()
        for file in find_files(table.files, base, table.extract_date)
    ]
    new = tuple(str(file.path) for file, known in files if not known)
    standing = None
    if request.as_of is not None and layout.calibrations.is_dir():
        standing = current(layout, request.settings, request.as_of, request.known_at)
    return Plan(
        stages=tuple(request.stages),
        new_files=new,
        known_files=len(files) - len(new),
        calibration=standing.identity if standing else None,
        out=str(layout.out),
    )
