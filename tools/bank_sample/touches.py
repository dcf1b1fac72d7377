"""How the bank and its customers meet beside the bookings: campaigns, events, surveys."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from tools.bank_sample.behaviour import History
from tools.bank_sample.profiles import Profile
from tools.bank_sample.relations import Relation, add_holding
from tools.bank_sample.world import AS_OF_DAY, day_of, moment, stream

CONTACT_COLUMNS = (
    "campaign_id", "customer_id", "sent_at", "channel", "reached", "engaged", "converted_at", "is_control",
)  # fmt: skip
EVENT_COLUMNS = ("customer_id", "occurred_at", "event_code")
SURVEY_COLUMNS = ("customer_id", "answered_on", "nps_score", "satisfaction")
CONTROL_SHARE = 0.2
Line = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign: what it sells, to how many, and how often that works with and without it."""

    campaign_id: str
    day: int
    channel: str
    product: str
    size: int
    converts: float
    converts_anyway: float


CAMPAIGNS = (
    Campaign("2022-FUND-SPRING", day_of(date(2022, 3, 14)), "SMS", "FUND", 500, 0.045, 0.030),
    Campaign("2022-CARD-AUTUMN", day_of(date(2022, 9, 19)), "MOBILE", "CREDIT_CARD", 600, 0.080, 0.040),
    Campaign("2023-TERM-NEWYEAR", day_of(date(2023, 1, 30)), "SMS", "TERM_DEPOSIT", 600, 0.050, 0.045),
    Campaign("2023-FUND-SPRING", day_of(date(2023, 4, 10)), "CALL", "FUND", 400, 0.075, 0.030),
    Campaign("2023-LOAN-AUTUMN", day_of(date(2023, 10, 16)), "MOBILE", "CONSUMER_LOAN", 500, 0.040, 0.020),
    Campaign("2024-TERM-NEWYEAR", day_of(date(2024, 1, 22)), "SMS", "TERM_DEPOSIT", 700, 0.060, 0.040),
    Campaign("2024-WEALTH-SPRING", day_of(date(2024, 4, 8)), "CALL", "WEALTH_PRODUCT", 400, 0.070, 0.025),
    Campaign("2024-CARD-SUMMER", day_of(date(2024, 6, 3)), "MOBILE", "CREDIT_CARD", 500, 0.050, 0.025),
)
LEADS = ("2023-FUND-SPRING", "2024-WEALTH-SPRING")
LEADS_A_CAMPAIGN = 60
CODES = {"APP_LOGIN": 3_600, "CALL_CENTRE": 900, "CREDIT_CHECK": 170, "LOAN_APPLICATION": 210}
COMPLAINTS, SURVEYS = 260, 1_500


def contacts(known: list[Profile], relations: dict[str, Relation], prospects: list[str]) -> list[Line]:
    """Lines of all campaigns; what they sell becomes a holding."""
    rng = stream("contacts")
    lines: list[Line] = []
    leads = iter(rng.permutation(prospects).tolist())
    for campaign in CAMPAIGNS:
        may = [p for p in known if _may_be_contacted(p, campaign.day)]
        for place in rng.choice(len(may), campaign.size, replace=False).tolist():
            customer = may[place].customer.customer_id
            control = bool(rng.random() < CONTROL_SHARE)
            line = _contact(rng, campaign, customer, control=control)
            chance = campaign.converts_anyway if control else campaign.converts
            day = campaign.day + 1 + int(rng.exponential(9))
            relation = relations.get(customer)
            if rng.random() < chance and day <= AS_OF_DAY and relation is not None and relation.is_open(day):
                line["converted_at"] = f"{moment(day, int(rng.integers(30_000, 75_000))):%Y-%m-%d %H:%M:%S}"
                if relation.closes is None:
                    add_holding(relation, campaign.product, day)
            lines.append((campaign.day, line))
        if campaign.campaign_id in LEADS:
            for _ in range(LEADS_A_CAMPAIGN):
                lines.append((campaign.day, _contact(rng, campaign, next(leads), control=False)))
    return sorted(lines, key=lambda line: (line[0], line[1]["customer_id"]))


def _may_be_contacted(profile: Profile, day: int) -> bool:
    out = profile.opted_out
    return profile.consent and profile.known_from < day and (out is None or out > day)


def _contact(
    rng: np.random.Generator, campaign: Campaign, customer_id: str, *, control: bool
) -> dict[str, str]:
    reached = not control and rng.random() < (0.45 if campaign.channel == "CALL" else 0.85)
    engaged = reached and rng.random() < 0.22
    return {
        "campaign_id": campaign.campaign_id,
        "customer_id": customer_id,
        "sent_at": f"{moment(campaign.day, 34_200):%Y-%m-%d %H:%M:%S}",
        "channel": campaign.channel,
        "reached": _flag(reached),
        "engaged": _flag(engaged),
        "converted_at": "",
        "is_control": _flag(control),
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def events(known: list[Profile], told: dict[str, History], prospects: list[str]) -> list[Line]:
    """Logins, calls, complaints and their ends, credit checks, applications; some of mere prospects."""
    rng = stream("events")
    lines = [_event(rng, code, _somebody(rng, known, told)) for code, n in CODES.items() for _ in range(n)]
    for _ in range(COMPLAINTS):
        customer_id, day = _somebody(rng, known, told)
        lines.append(_event(rng, "COMPLAINT_OPENED", (customer_id, day)))
        closed = day + 1 + int(rng.exponential(18))
        if rng.random() < 0.92 and closed <= AS_OF_DAY:
            lines.append(_event(rng, "COMPLAINT_CLOSED", (customer_id, closed)))
    for customer_id in prospects[-50:]:
        code = "CALL_CENTRE" if rng.random() < 0.6 else "LOAN_APPLICATION"
        lines.append(_event(rng, code, (customer_id, int(rng.integers(0, AS_OF_DAY + 1)))))
    return sorted(lines, key=lambda line: tuple(line[1][name] for name in ("occurred_at", "customer_id")))


def _somebody(rng: np.random.Generator, known: list[Profile], told: dict[str, History]) -> tuple[str, int]:
    """A customer and a day; who has left for good mostly does not come."""
    while True:
        profile = known[int(rng.integers(0, len(known)))]
        day = int(rng.integers(max(profile.known_from, 0), AS_OF_DAY + 1))
        history = told.get(profile.customer.customer_id)
        gone = history is not None and history.left is not None and history.left < day
        if not gone or rng.random() < 0.1:
            return profile.customer.customer_id, day


def _event(rng: np.random.Generator, code: str, who_and_when: tuple[str, int]) -> Line:
    customer_id, day = who_and_when
    at = moment(day, 60 * int(rng.integers(480, 1_320)))
    return day, {
        "customer_id": customer_id,
        "occurred_at": f"{at:%Y-%m-%d %H:%M:%S}",
        "event_code": code,
    }


def surveys(known: list[Profile], told: dict[str, History], happened: list[Line]) -> list[Line]:
    """Answers from 0 to 10 and from 1 to 5; who has complained or is about to leave is less content."""
    rng = stream("surveys")
    complained = {line["customer_id"] for _, line in happened if line["event_code"] == "COMPLAINT_OPENED"}
    return sorted(_answers(rng, known, told, complained), key=lambda line: (line[0], line[1]["customer_id"]))


def _answers(
    rng: np.random.Generator, known: list[Profile], told: dict[str, History], complained: set[str]
) -> Iterator[Line]:
    for _ in range(SURVEYS):
        customer_id, day = _somebody(rng, known, told)
        history = told.get(customer_id)
        leaving = history is not None and history.left is not None and history.left < day + 90
        mood = 8.1 - 2.5 * (customer_id in complained) - 1.2 * leaving + float(rng.normal(0, 1.8))
        score = int(np.clip(round(mood), 0, 10))
        content = int(np.clip(round(score / 2 + float(rng.normal(0, 0.6))), 1, 5))
        yield (
            day,
            {
                "customer_id": customer_id,
                "answered_on": f"{moment(day, 0):%Y-%m-%d}",
                "nps_score": str(score),
                "satisfaction": str(content) if rng.random() < 0.95 else "",
            },
        )
