"""All files of the sample and of its truth, in memory."""

import json
from collections import Counter
from dataclasses import dataclass

from tools.bank_sample import relations
from tools.bank_sample.behaviour import histories
from tools.bank_sample.defects import FEWER_FIELDS, spoil
from tools.bank_sample.deliveries import COLUMNS as LEDGER_COLUMNS
from tools.bank_sample.deliveries import (
    Delivery,
    Row,
    deliver_again,
    is_corrected,
    is_late,
    regular_deliveries,
    special_deliveries,
)
from tools.bank_sample.files import FileCounts, SampleFile, csv_text
from tools.bank_sample.ledger import Event, ledger
from tools.bank_sample.population import Customer, population
from tools.bank_sample.tables import other_tables
from tools.bank_sample.truth import lost_originals, purchase_days_known, purchase_days_realised, truth_csv
from tools.bank_sample.world import AS_OF, AS_OF_DAY, HORIZON_DAYS


@dataclass(frozen=True, slots=True)
class Sample:
    """What is shipped, and what is not."""

    shipped: tuple[SampleFile, ...]
    truth: tuple[SampleFile, ...]


def make_sample() -> Sample:
    """Simulate the bank and write its extracts."""
    people = population()
    told = histories(people)
    known = relations.relations(people, told)
    counts = FileCounts()
    events = ledger(people, told, known)
    regular = regular_deliveries(events)
    spoil(regular)
    deliver_again(regular)
    files = sorted([*regular, *special_deliveries(events)], key=lambda file: file.day)
    shipped = [_ledger_file(file, counts) for file in files]
    shipped += other_tables(people, told, known, counts)
    days, realised = purchase_days_known(files), purchase_days_realised(events)
    facts = {
        "as_of": AS_OF.isoformat(),
        "horizon_days": HORIZON_DAYS,
        "people": dict(sorted(Counter(person.kind.value for person in people).items())),
        "purchase_days": sum(map(len, days.values())),
        "realised_purchase_days": sum(len(realised.get(customer, ())) for customer in days),
        "transactions": _ledger_facts(people, events, files),
        "files": counts.files,
    }
    truth = (
        SampleFile("customers.csv.gz", "truth", truth_csv(people, told, days, realised)),
        SampleFile("counts.json", "truth", json.dumps(facts, indent=1, ensure_ascii=False) + "\n"),
    )
    return Sample(tuple(shipped), truth)


def _ledger_file(file: Delivery, counts: FileCounts) -> SampleFile:
    set_aside = Counter(row.defect for row in file.rows if row.defect is not None)
    counts.add("transactions", file.name, len(file.rows), set_aside)
    return SampleFile(file.name, "transactions", csv_text(LEDGER_COLUMNS, map(_ledger_line, file.rows)))


def _ledger_line(row: Row) -> list[str]:
    fields = [row.fields[name] for name in LEDGER_COLUMNS]
    return fields[:FEWER_FIELDS] if row.defect == ":FIELD_COUNT" else fields


def _ledger_facts(people: list[Customer], events: list[Event], files: list[Delivery]) -> dict[str, object]:
    rows = [row for file in files for row in file.rows]
    unlisted = {person.customer_id for person in people if not person.listed}
    past = [event for event in events if event.day <= AS_OF_DAY]
    reversals = [event for event in past if event.reverses is not None]
    full = sum(event.reverses is not None and -event.cents == event.reverses.cents for event in reversals)
    after = [
        event
        for event in events
        if event.day > AS_OF_DAY and event.reverses is not None and event.reverses.day <= AS_OF_DAY
    ]
    return {
        "bookings": len(past),
        "rows": len(rows),
        "set_aside": dict(sorted(Counter(row.defect for row in rows if row.defect is not None).items())),
        "delivered_again_in_a_later_file": sum(file.again for file in files),
        "twice_in_a_file": sum(file.twice for file in files),
        "mended_in_a_later_file": sum(file.mended for file in files),
        "corrected": sum(map(is_corrected, past)),
        "late": sum(map(is_late, past)),
        "blank_transaction_id": sum(not row.fields["transaction_id"] for row in rows),
        "unlisted_customers": len({row.event.customer_id for row in rows} & unlisted),
        "rows_of_unlisted_customers": sum(row.event.customer_id in unlisted for row in rows),
        "full_reversals": full,
        "partial_reversals": len(reversals) - full,
        "reversals_of_lost_bookings": lost_originals(files),
        "reversed_after_as_of": len(after),
        "bookings_by_type": dict(sorted(Counter(event.kind for event in past).items())),
    }
