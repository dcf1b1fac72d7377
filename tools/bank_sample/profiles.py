"""What the bank knows of each customer: branch, community, manager, consent, who brought whom."""

from dataclasses import dataclass

import numpy as np

from tools.bank_sample.population import Customer
from tools.bank_sample.world import AS_OF, AS_OF_DAY, Kind, Segment, date_of, stream

# Branch -> its communities. One name needs GB18030: GBK does not know its first character.
BRANCHES = {
    "城东支行": ("翠竹苑", "金桂里", "梧桐湾", "晨光社区"),
    "城西支行": ("西山花园", "枫林社区", "银杏里"),
    "江北支行": ("望江苑", "渡口社区", "北岸新村", "沙洲里"),
    "滨河支行": ("柳岸社区", "河畔人家", "㙍塘里"),
    "高新支行": ("创业家园", "软件园社区", "星河湾"),
    "南湖支行": ("南湖春晓", "荷风苑", "渔港社区"),
    "大学城支行": ("学府里", "书香苑"),
    "港口支行": ("码头社区", "灯塔里", "盐田新村", "外海岛"),
}
BRANCH_SHARES = (0.21, 0.17, 0.15, 0.13, 0.12, 0.10, 0.07, 0.05)
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴徐孙", ("敏", "伟", "静", "磊", "洋", "艳", "勇", "娟", "涛", "慧")
OCCUPATIONS = ("职员", "教师", "工人", "个体", "医护", "公务", "学生", "退休")
MEAN_AGE = {Segment.EVERYDAY: 34, Segment.COUNTER: 58, Segment.WEALTH: 46}
MANAGERS_A_BRANCH = 3
REFERRED_SHARE, OPTED_OUT_SHARE, CONSENT_SHARE = 0.09, 0.06, 0.74

# Our names -> the bank's own.
COLUMNS = {
    "customer_id": "客户号",
    "opened_on": "开户日期",
    "birth_year": "出生年份",
    "branch": "网点",
    "community": "社区",
    "relationship_manager": "客户经理",
    "referred_by": "推荐人",
    "marketing_consent": "营销同意",
    "opted_out_on": "退订日期",
    "occupation": "职业",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One line of `customers`; `opened` is None for those who only registered."""

    customer: Customer
    known_from: int
    opened: int | None
    birth_year: int
    branch: str
    community: str
    manager: str
    referred_by: str
    consent: bool
    opted_out: int | None
    occupation: str

    def as_of(self, day: int) -> dict[str, str]:
        """The line as it read on a day: nothing later is in it."""
        out = self.opted_out is not None and self.opted_out <= day
        return {
            "客户号": self.customer.customer_id,
            "开户日期": "" if self.opened is None else date_of(self.opened).isoformat(),
            "出生年份": str(self.birth_year),
            "网点": self.branch,
            "社区": self.community,
            "客户经理": self.manager,
            "推荐人": self.referred_by,
            "营销同意": "true" if self.consent and not out else "false",
            "退订日期": date_of(self.opted_out).isoformat() if out and self.opted_out is not None else "",
            "职业": self.occupation,
        }


def profiles(people: list[Customer]) -> list[Profile]:
    """Everybody listed, in order of id."""
    rng = stream("profiles")
    managers = _managers(rng)
    listed = [person for person in people if person.listed and person.opened <= AS_OF_DAY]
    return [_profile(rng, person, listed, managers) for person in listed]


def _managers(rng: np.random.Generator) -> dict[str, list[str]]:
    names = [f"{surname}{given}" for surname in SURNAMES for given in GIVEN]
    drawn = iter(rng.permutation(len(names)).tolist())
    return {branch: [names[next(drawn)] for _ in range(MANAGERS_A_BRANCH)] for branch in BRANCHES}


def _profile(
    rng: np.random.Generator, person: Customer, listed: list[Customer], managers: dict[str, list[str]]
) -> Profile:
    branch = list(BRANCHES)[int(rng.choice(len(BRANCHES), p=BRANCH_SHARES))]
    communities = BRANCHES[branch]
    weights = 0.5 ** np.arange(len(communities))
    community = communities[int(rng.choice(len(communities), p=weights / weights.sum()))]
    age = int(np.clip(rng.normal(MEAN_AGE[person.segment], 10), 18, 92))
    # Only an account-holder of longer standing can have brought a new one.
    other = listed[int(rng.integers(0, len(listed)))]
    could = other.opened < person.opened and other.kind is not Kind.REGISTERED
    brought = rng.random() < REFERRED_SHARE and could
    since = max(person.opened, 0)
    opted_out = int(rng.integers(since, AS_OF_DAY + 1)) if rng.random() < OPTED_OUT_SHARE else None
    return Profile(
        person,
        person.opened,
        None if person.kind is Kind.REGISTERED else person.opened,
        min(AS_OF.year - age, date_of(person.opened).year - 18),
        branch,
        "" if rng.random() < 0.04 else community,
        managers[branch][int(rng.integers(0, MANAGERS_A_BRANCH))] if rng.random() < 0.6 else "",
        other.customer_id if brought else "",
        bool(rng.random() < CONSENT_SHARE),
        opted_out,
        OCCUPATIONS[int(rng.integers(0, len(OCCUPATIONS)))],
    )
