"""Populations that stand at the hard places: every boundary of the contract, and seeded random customers."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate, count
from pathlib import Path
from random import Random

from .brute_force import Row, Terms

CARD_RATE = "0.013"
RATES: dict[str, str | None] = {"FEE": None, "INTEREST": None, "CARD": CARD_RATE, "LOSS": "-0.5"}
LEAP_DAYS = (
    date(2024, 2, 29), date(2024, 3, 1), date(2023, 2, 28), date(2025, 2, 28), date(2024, 12, 31),
    date(2020, 2, 29),
)  # fmt: skip
ROUND = ("0.00", "5.00", "10.00", "100.00", "19.99", "0.01", "-50.00", "1000000.05")
EDGES = (
    0, 1, 59, 60, 61, 89, 90, 91, 179, 180, 181, 269, 270, 271, 364, 365, 366, 544, 545, 546, 729, 730, 731,
)  # fmt: skip
COLUMNS = (
    "transaction_id", "customer_id", "posted_at", "amount", "transaction_type", "fee_amount", "reverses_id",
    "currency",
)  # fmt: skip


@dataclass(frozen=True)
class Population:
    """What one run is given.

    Attributes:
        rows: Every delivered row, in the order of the files.
        files: Names of the files, by their number.
        has_ids: Whether the files have a column `transaction_id`.
        dated: Whether the file names carry the delivery date.
        minimum_customers: Below it the purchase model is the pooled baseline.
    """

    as_of: date
    terms: Terms
    rows: tuple[Row, ...]
    files: tuple[str, ...]
    has_ids: bool
    dated: bool
    minimum_customers: int = 20

    def write(self, folder: Path) -> Path:
        """The extracts and the config; the path of the config."""
        columns = [c for c in COLUMNS if self.has_ids or c not in ("transaction_id", "reverses_id")]
        for number, name in enumerate(self.files):
            with (folder / name).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows([getattr(r, c) for c in columns] for r in self.rows if r.file == number)
        path = folder / "oracle.toml"
        path.write_text(self.config(), encoding="utf-8")
        return path

    def config(self) -> str:
        """TOML of the same definitions as `terms`."""
        t = self.terms
        rules = [
            f'{{types=["{kind}"], purchase={"false" if rate is None else f"true, margin_rate={rate}"}}}'
            for kind, rate in t.rates.items()
        ]
        dated = (
            "[inputs.transactions.extract_date]\nfile_name = 'of_(?P<date>[0-9-]{10})'" if self.dated else ""
        )
        return "\n".join(
            [
                'preset = "retail"',
                f'currency = "{t.currency}"',
                f'timezone = "{t.zone}"',
                "[inputs.transactions]",
                'files = ["tx*.csv"]',
                dated,
                "[purchases]",
                f"rules = [{', '.join(rules)}]",
                "[clv]",
                f"minimum_customers = {self.minimum_customers}",
                "minimum_repeaters = 10",
                "[lifecycle]",
                f"new_days = {t.new}",
                f"return_days = {t.returned}",
                f"churn_days = {t.churn}",
                f"churn_gap_multiple = {t.churn_multiple}",
                f"late_gap_multiple = {t.late_multiple}",
                f"late_longest_multiple = {float(t.late_longest)}",
                f"late_minimum_days = {t.late_days}",
                f"mature_active_months = {t.mature_months}",
                "",
            ]
        )


def from_gaps(last: int, gaps: Sequence[int]) -> list[int]:
    """Days ago of purchases with these gaps, oldest gap first, the last one `last` days ago."""
    return list(accumulate([last, *reversed(gaps)]))[::-1]


def edge_histories() -> Iterator[list[int]]:
    """Histories (days ago, oldest first) on both sides of, and exactly at, the thresholds."""
    yield from ([d] for d in EDGES)
    # Two purchases: own gap 1 to 181, silence around the windows and around the churn gap.
    for gap in (1, 30, 44, 45, 46, 60, 90, 180, 181):
        for last in {60, 89, 90, 180, 181, 4 * gap - 1, 4 * gap, 4 * gap + 1}:
            yield from_gaps(last, [gap])
    # Own gap of half days, churn gap 4 x 46.5 = 186; late after 3 x 20.5 = 61.5.
    for last in (185, 186, 187):
        yield from_gaps(last, [46, 47])
    for gaps in ([20] * 4, [20] * 5, [20, 20, 20, 21, 21, 21], [21] * 5, [30, 31] * 3, [7] * 9):
        for last in (59, 60, 61, 62, 63, 64, 90, 91, 92, 93):
            yield from_gaps(last, gaps)
    # Late after 1.25 x 80 = 100 and 1.25 x 50 = 62.5, the longest gap, and not after 3 x 20.
    for gaps, lasts in (([20, 80, 20, 20, 20], (99, 100, 101)), ([20, 20, 20, 20, 50], (61, 62, 63))):
        for last in lasts:
            yield from_gaps(last, gaps)
    # Late, and silent for exactly the churn gap: still declining, gone a day later.
    for last in (179, 180, 181):
        yield from_gaps(last, [20] * 6)
    # A silence that ended: beyond 180, or beyond four times the gaps before it.
    for last in (0, 88, 89, 90):
        for gaps in ([180], [181], [10, 180], [10, 181], [50, 200], [50, 201], [200, 3]):
            yield from_gaps(last, gaps)
        for gap in (201, 202, 203):
            yield from_gaps(last, [50, 51, gap])
    yield from_gaps(5, [181, 10, 10, 400, 10])
    for last in (60, 89, 119, 121, 150, 198, 199, 200):
        yield from_gaps(last, [10] * 5 + [250])
    for last in (100, 121, 150, 179, 180, 181):
        yield from_gaps(last, [10, 125])
    # Steady: weekly and monthly, the last one at the bound, the relationship of a year or a day less.
    for age in (364, 365, 366, 371):
        for step in (7, 30, 40):
            yield list(range(age, -1, -step))
    for last in (0, 59, 60, 61, 62):
        yield list(range(last + 30 * 20, last - 1, -30))
        yield list(range(last + 31 * 20, last - 1, -31))
    # Purchases in exactly eight, nine or ten of the twelve twelfths; bursts that are not steady.
    for months in (8, 9, 10):
        yield [400, *sorted((m * 365 // 12 + 3 for m in range(months)), reverse=True)]
        bursts = {m * 30 + 5 + j for m in range(months) for j in range(1 + 7 * (m % 2))}
        yield [800, *sorted(bursts, reverse=True)]
    # Every other month fewer purchases: too uneven for chance; 17 of 30 are of little variation, 12 are not.
    for fewer in (17, 15, 12):
        starts = [next(d for d in range(366) if d * 12 // 365 == month) for month in range(12)]
        year = {d for d in range(365) if d * 12 // 365 % 2 == 0 or d - starts[d * 12 // 365] < fewer}
        yield sorted(year | {d + 365 for d in year}, reverse=True)
    # A baseline of five, six and seven purchases; an exposure of 179, 180 and 181 days.
    for before in (5, 6, 7):
        for window in (90, 180):
            for exposure in (179, 180, 181):
                first = window + exposure
                inside = [first - 1 - i * (exposure // (before + 1)) for i in range(before)]
                yield [first, *inside, 30]
    # Exactly ten expected in 90 days (20 in 180 days of exposure, 40 in 360), and one fewer.
    for exposure, before in ((180, 20), (180, 19), (360, 40), (360, 39), (365, 41), (365, 40)):
        for recent in (0, 2, 3, 4):
            first = 90 + exposure
            inside = [first - 1 - i * (exposure // (before + 1)) for i in range(before)]
            yield [first, *inside, *range(88, 88 - 20 * recent, -20)]
    # Exactly 70 % of the baseline's rate (35 / 90 against 200 / 360), one more, one fewer.
    for recent in (34, 35, 36):
        yield [450, *range(449, 249, -1), *range(recent * 2, 0, -2)]
    # Exactly 120 % (180 / 180 against 300 / 360), one fewer; and 119 %.
    for recent, before in ((180, 300), (179, 300), (180, 301), (180, 298)):
        yield [540, *range(539, 539 - before, -1), *range(recent - 1, -1, -1)]
    # A rise of growing certainty, across the level, in a burst that is not steady.
    for recent, step in ((20, 15), (21, 15), (22, 14), (23, 13), (24, 12), (18, 18)):
        yield [700, *range(540, 181, -step), *range(recent, 0, -1)]
    # The edges of the baseline window itself.
    yield [700, 455, 454, 453, 400, 390, 380, 370, 90, 89]
    yield [700, 546, 545, 544, 400, 390, 380, 370, 180, 179]
    yield [700, 454, 453, 400, 390, 300, 90]


def random_history(random: Random) -> list[int]:
    """Steady, halving, accelerating, seldom or stopping customers of a random age."""
    age = random.choice([random.randrange(1, 1100), random.choice(EDGES)])
    kind = random.choice(("steady", "halving", "accelerating", "seldom", "stopped", "poisson"))
    step = random.choice((3, 5, 7, 7, 14, 30))
    days = {age}
    if kind in ("steady", "stopped"):
        stop = random.randrange(0, 400) if kind == "stopped" else 0
        jitter = random.choice((0, 0, 1, 3))
        days |= {d + random.randint(-jitter, jitter) for d in range(age, stop, -step)}
    elif kind in ("halving", "accelerating"):
        turn = random.choice((90, 180, random.randrange(1, 300)))
        slow, fast = (2 * step, step)
        old, new = (fast, slow) if kind == "halving" else (slow, fast)
        days |= set(range(age, turn, -old)) | set(range(min(turn, age), -1, -new))
    elif kind == "seldom":
        days |= {random.randrange(0, age + 1) for _ in range(random.randrange(0, 4))}
    else:
        rate = random.choice((0.01, 0.03, 0.1, 0.3))
        days |= {d for d in range(age) if random.random() < rate}
    return sorted((d for d in days if 0 <= d <= age), reverse=True)


class Builder:
    """Collects the rows of a population."""

    def __init__(self, random: Random, as_of: date, zone: str) -> None:
        self.random, self.as_of, self.zone = random, as_of, zone
        self.rows: list[Row] = []
        self._ids = count(1)

    def moment(self, day: date) -> str:
        """The day, or a time of it: at both of its ends, local or with an offset."""
        form = self.random.randrange(5)
        if form == 1:
            return f"{day} 23:59:59"
        if form == 2:
            return f"{day} 00:00:00"
        if form == 3 and self.zone == "Asia/Shanghai":
            return f"{day - timedelta(1)}T16:00:00+00:00"
        if form == 4 and self.zone == "Asia/Shanghai":
            return f"{day}T15:59:59+00:00"
        return str(day)

    def add(self, who: str, ago: int, amount: str, kind: str = "", fee: str = "", reverses: str = "") -> str:
        """One row; its id."""
        identity = f"t{next(self._ids)}"
        day = self.as_of - timedelta(ago)
        self.rows.append(Row(who, self.moment(day), amount, kind, fee, reverses, identity, "EUR"))
        return identity

    def amount(self, high: int = 20000) -> str:
        """An amount, in fives of cents often (a card's margin then ends in half cents)."""
        if self.random.random() < 0.3:
            return self.random.choice(ROUND)
        whole = self.random.randrange(-high // 20, high) * self.random.choice((1, 5))
        return f"{'-' if whole < 0 else ''}{abs(whole) // 100}.{abs(whole) % 100:02d}"

    def history(self, who: str, agos: Sequence[int], amounts: Sequence[str] | None = None) -> None:
        """Purchases on these days, sometimes several a day, of several types."""
        for place, ago in enumerate(agos):
            kind = self.random.choice(("", "CARD", "SHOP", "CARD", "LOSS"))
            if amounts is not None:
                self.add(who, ago, amounts[place % len(amounts)])
                continue
            self.add(who, ago, self.amount(), kind, self.random.choice(("", "", "0.35", "-1.00")))
            if self.random.random() < 0.1:
                self.add(who, ago, self.amount(), "CARD")

    def odd_ones(self) -> None:
        """Customers without purchases, after `as_of`, with reversals of every kind."""
        self.add("only-fees", 10, "3.00", "FEE", "1.00")
        self.add("only-interest", 500, "3.00", "INTEREST")
        self.add("only-after", -1, "3.00")
        self.add("fees-then-after", 0, "3.00", "FEE")
        self.add("fees-then-after", -1, "100.00")
        self.add("buys-after-too", 20, "10.00")
        self.add("buys-after-too", -1, "1000.00")
        self.add("no-such-original", 3, "-5.00", reverses="t-none")
        self.add("no-such-original-2", 3, "5.00", reverses="t-none")
        for who, amount, parts in (
            ("full", "10.00", ["-10.00"]),
            ("over", "10.00", ["-10.01"]),
            ("unsigned", "10.00", ["10.00"]),
            ("in-two", "10.00", ["-4.00", "-6.00"]),
            ("nearly", "10.00", ["-4.00", "-5.99"]),
            ("partly", "10.00", ["-4.00"]),
            ("of-negative", "-10.00", ["4.00"]),
            ("negative-full", "-10.00", ["10.00"]),
            ("of-zero", "0.00", ["0.00"]),
        ):
            for back, older in ((5, True), (5, False), (0, True), (-1, True)):
                name = f"reversed-{who}-{back}-{older}"
                if older:
                    self.history(name, [300, 200, 100])
                original = self.add(name, 20, amount, self.random.choice(("", "CARD")), "0.50")
                for part in parts:
                    self.add(name, back, part, "", self.random.choice(("", "-0.50", "-0.10")), original)
        for place, agos in enumerate(([400, 200], [50, 40], [500, 20])):
            name = f"reversed-first-{place}"
            original = self.add(name, agos[0], "10.00")
            self.add(name, agos[0] - 1, "-10.00", reverses=original)
            self.add(name, agos[1], "10.00", "CARD")
        # Two events on a day: one of them reversed, the day stays a purchase day.
        original = self.add("one-of-two", 30, "10.00", "", "0.70")
        self.add("one-of-two", 30, "7.00")
        self.add("one-of-two", 29, "-10.00", reverses=original)
        fee = self.add("fee-reversed", 30, "10.00", "FEE", "2.00")
        self.add("fee-reversed", 29, "-10.00", reverses=fee)
        self.add("fee-reversed", 40, "1.00")
        for name, amounts in (
            ("zero", ["0.00"]),
            ("negative", ["-5.00", "-0.01"]),
            ("cancelling", ["5.00", "-5.00"]),
            ("dust", ["0.01", "-0.01", "0.01"]),
        ):
            self.history(name, [600, 500, 300, 200, 100, 10], amounts)
            self.history(f"{name}-steady", range(700, 0, -7), amounts)
            self.history(f"{name}-new", [80, 40], amounts)
        # Half a cent, to be rounded away from zero, on both sides.
        for ago in (5, 400):
            self.add(f"half-cent-{ago}", ago, "5.00", "CARD")
            self.add(f"half-cent-negative-{ago}", ago, "-5.00", "CARD")
            self.add(f"below-half-cent-{ago}", ago, "0.30", "CARD")
            self.add(f"below-half-cent-negative-{ago}", ago, "-0.30", "CARD")
            self.add(f"steady-below-{ago}", 1, "0.30", "CARD")


def population(
    seed: int,
    as_of: date,
    *,
    zone: str = "UTC",
    delivery: str = "ids",
    edges: float = 0.5,
    randoms: int = 120,
    stale: int = 0,
    terms: Terms | None = None,
) -> Population:
    """A population from a seed.

    Args:
        seed: Of everything random.
        as_of: Its last day.
        zone: The bank's zone.
        delivery: `ids` (one file, rows twice in it), `restated` (dated files, corrections) or `no_ids`.
        edges: Share of the edge histories that take part.
        randoms: Number of random customers.
        stale: Number of customers whose one purchase is long ago: enough make the median value zero.
        terms: Definitions other than the default ones.
    """
    random = Random(seed)
    terms = replace(terms or Terms(rates=RATES), zone=zone)
    build = Builder(random, as_of, zone)
    for place, agos in enumerate(edge_histories()):
        if random.random() < edges:
            plain = random.choice((None, ["10.00"], ["10.00", "20.00", "-1.00"]))
            build.history(f"edge-{place}", agos, plain)
    for place in range(randoms):
        build.history(f"random-{place}", random_history(random))
    tied = random_history(random)
    for place in range(random.choice((0, 5, 60))):
        build.history(f"tied-{place}", tied, ["9.99"])
    for place in range(stale):
        build.history(f"stale-{place}", [random.randrange(366, 1500)])
    if delivery != "no_ids":
        build.odd_ones()
    rows, files = _deliver(build.rows, random, as_of, delivery)
    return Population(as_of, terms, tuple(rows), files, delivery != "no_ids", delivery == "restated")


def _deliver(
    rows: list[Row], random: Random, as_of: date, delivery: str
) -> tuple[list[Row], tuple[str, ...]]:
    if delivery == "ids":
        found = [*rows, *random.sample(rows, len(rows) // 10)]
        found += [replace(row, currency="USD", transaction_id=f"x{i}") for i, row in enumerate(rows[:5])]
        random.shuffle(found)
        return found, ("tx.csv",)
    if delivery == "restated":
        days = (as_of - timedelta(60), as_of - timedelta(1), as_of + timedelta(30))
        found = []
        for row in rows:
            places = sorted(random.sample(range(3), random.choice((1, 1, 1, 2, 3))))
            for place in places[:-1]:
                found.append(replace(_earlier(row, random), file=place, extract=days[place]))
            found.append(replace(row, file=places[-1], extract=days[places[-1]]))
        random.shuffle(found)
        return found, tuple(f"tx_of_{day}.csv" for day in days)
    bare = [replace(row, transaction_id="", reverses_id="") for row in rows]
    found = []
    for row in bare:
        if random.random() < 0.2:
            bare_day = row.posted_at[:10]
            found.append(replace(row, posted_at=f"{bare_day} 09:{random.randrange(60):02d}:00"))
            found.append(replace(row, posted_at=bare_day, file=1))
            found.append(replace(row, posted_at=f"{bare_day} 00:00:00", file=2))
        for file in range(3):
            copies = random.choice((0, 0, 1, 1, 1, 2))
            found += [replace(row, file=file)] * copies
    random.shuffle(found)
    return found, ("tx-a.csv", "tx-b.csv", "tx-c.csv")


def _earlier(row: Row, random: Random) -> Row:
    """What an earlier delivery said of the same event: wrong amount, day, type or customer."""
    change = random.randrange(5)
    if change == 0:
        return replace(row, amount="77.77")
    if change == 1:
        return replace(row, posted_at="2019-01-05")
    if change == 2:
        return replace(row, transaction_type="FEE")
    if change == 3:
        return replace(row, customer_id=f"was-{row.customer_id}")
    return row
