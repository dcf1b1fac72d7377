"""What a person sees during a run: a line a stage, then the segments and where the files are."""

from datetime import date
from types import TracebackType

import polars as pl
from rich.console import Console
from rich.status import Status
from rich.table import Table

from clvpipe.config.rules import load_codes
from clvpipe.publish.versions import Publication
from clvpipe.stages.context import Context, StageRun, Watch

_SHOWN_TABLES = 2
SHOWN = ("quadrant", "lifecycle_state")


class Reporter(Watch):
    """Speaks on standard error if told to; standard output stays for data.

    Warnings of the data are said in any case: cron mails what a job writes to standard error.
    """

    def __init__(self, talk: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._talk = talk
        self._status: Status | None = None
        self._stage = ""

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def title(self, title: str, as_of: date | None) -> None:
        """What is run."""
        if self._talk:
            self._console.print(f"[bold]{title}[/bold]" + (f", as of {as_of}" if as_of else ""))

    def turned_to(self, day: date) -> None:
        if self._talk:
            self._console.print(f"  {day}", style="bold")

    def started(self, stage: str) -> None:
        """A stage begins."""
        self._stage = stage
        if self._talk and self._console.is_terminal:
            self._status = self._console.status(stage)
            self._status.start()

    def tell(self, text: str) -> None:
        """Progress inside a stage."""
        if self._status is not None:
            self._status.update(f"{self._stage}: {text}")
        elif self._talk and not self._stage:
            # Before the first stage: that the run waits for another.
            self._console.print(f"  {text}", markup=False, soft_wrap=True)

    def done(self, run: StageRun) -> None:
        """A stage is done."""
        self._stop()
        for warning in run.result.warnings:
            self._console.print(f"clvpipe: warning: {warning}", markup=False, soft_wrap=True)
        if not self._talk:
            return
        rows = ", ".join(f"{count:,} {name}" for name, count in list(run.result.rows.items())[:_SHOWN_TABLES])
        self._console.print(f"  [green]✓[/green] {run.stage:<9}{run.seconds:>6.1f} s  {rows}", soft_wrap=True)
        for note in run.result.notes:
            self._console.print(f"                      {note}", style="dim", markup=False, soft_wrap=True)

    def ended(self, context: Context) -> None:
        """The segments, and where they lie."""
        if self._talk and context.publication is not None:
            self._show(context.publication)

    def _show(self, publication: Publication) -> None:
        summary = pl.read_parquet(publication.folder / "data" / "segment_summary" / "*.parquet")
        labels = {
            (scheme, code): f"{english} {chinese}"
            for scheme, content in load_codes().schemes.items()
            for code, english, chinese in content.codes
        }
        order = {key: place for place, key in enumerate(labels)}
        table = Table(box=None, pad_edge=False)
        for name in ("", "label", "customers", "share", "current value", "CLV 12 months"):
            table.add_column(name, justify="left" if name in ("", "label") else "right")
        for scheme in SHOWN:
            rows = summary.filter(pl.col("dimension") == "ALL", pl.col("scheme") == scheme).to_dicts()
            for row in sorted(rows, key=lambda row: order.get((scheme, row["label"]), len(order))):
                table.add_row(
                    scheme,
                    labels.get((scheme, row["label"]), row["label"]),
                    f"{row['customers']:,}",
                    f"{row['customer_share']:.1%}",
                    f"{row['current_value']:,.2f}" if row["current_value_known"] else "not known",
                    f"{row['clv_12m']:,.2f}" if row["clv_12m_known"] else "not known",
                )
            table.add_section()
        self._console.print()
        self._console.print(table)
        self._console.print()
        self._console.print(f"files: {publication.folder / 'data'}", soft_wrap=True)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
