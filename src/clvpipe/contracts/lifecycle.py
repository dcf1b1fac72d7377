"""What the lifecycle rules may read of a customer.

A definition here stands inside a sentence: of a boolean after "the customer is", of anything else before
"is at least". A parenthesis explains the words before it, and is left out where they are said again.
"""

from clvpipe.contracts.model import EXACT_MONEY, Column, Table

_PROBABILITY = (0.0, 1.0)

LIFECYCLE_INPUTS = Table(
    "lifecycle_inputs",
    "customer",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "the customer's id", "客户号"),
        Column("has_purchase", "BOOLEAN", "a buyer (at least one purchase so far)", "有购买记录"),
        Column("has_relationship", "BOOLEAN", "known by a purchase or a holding", "有过购买或持有"),
        Column("purchase_days_total", "INTEGER", "the number of purchase days", "购买天数", unit="days"),
        Column(
            "frequency",
            "INTEGER",
            "the number of repeat purchases (purchase days after the first)",
            "复购次数",
            unit="purchases",
            optional=True,
        ),
        Column(
            "relationship_days",
            "INTEGER",
            "the length of the relationship (days since the first purchase or holding)",
            "建立关系天数",
            unit="days",
            optional=True,
        ),
        Column(
            "silence_days",
            "INTEGER",
            "silence (days since the last purchase day)",
            "距上次购买天数",
            unit="days",
            optional=True,
        ),
        Column(
            "closed_days",
            "INTEGER",
            "the time since the last holding was closed (days, with nothing open)",
            "距最后一笔持有关闭天数",
            unit="days",
            optional=True,
        ),
        Column("gaps", "INTEGER", "the number of gaps between purchase days", "购买间隔个数", unit="gaps"),
        Column(
            "own_gap_days",
            "DECIMAL(10,1)",
            "the customer's own gap (median days between purchase days before the silence)",
            "自身购买间隔天数",
            unit="days",
            optional=True,
        ),
        Column(
            "longest_gap_days",
            "INTEGER",
            "the longest gap so far (days between purchase days before the silence)",
            "最长购买间隔天数",
            unit="days",
            optional=True,
        ),
        Column(
            "churn_gap_days",
            "DECIMAL(10,1)",
            "the churn gap (longest silence that is not yet churn)",
            "流失判定天数",
            unit="days",
        ),
        Column(
            "reactivated", "BOOLEAN", "newly back from a silence beyond the churn gap", "长期沉默后近期回流"
        ),
        Column(
            "trend_is_low",
            "BOOLEAN",
            "buying far less often than before (recent rate against the baseline)",
            "近期购买频率远低于以往",
            optional=True,
        ),
        Column(
            "decline_p_value",
            "DOUBLE",
            "the p-value of the fall (one-sided binomial test)",
            "购买下降检验的p值",
            unit="probability",
            optional=True,
            bounds=_PROBABILITY,
        ),
        Column(
            "growth_is_high",
            "BOOLEAN",
            "buying far more often than before (long recent rate against the baseline)",
            "近期购买频率远高于以往",
            optional=True,
        ),
        Column(
            "growth_p_value",
            "DOUBLE",
            "the p-value of the rise (one-sided binomial test)",
            "购买上升检验的p值",
            unit="probability",
            optional=True,
            bounds=_PROBABILITY,
        ),
        Column(
            "active_months",
            "INTEGER",
            "the time with purchases (twelfths of the last 365 days that have one)",
            "近一年有购买的月数",
            unit="months",
        ),
        Column(
            "dispersion_p_value",
            "DOUBLE",
            "the p-value of uneven buying (dispersion test over twelve months)",
            "购买不均匀检验的p值",
            unit="probability",
            optional=True,
            bounds=_PROBABILITY,
        ),
        Column(
            "variation_is_small",
            "BOOLEAN",
            "a steady buyer (little variation from month to month)",
            "各月购买次数波动小",
        ),
        Column(
            "contribution_12m",
            EXACT_MONEY,
            "the contribution of the last 365 days",
            "近一年贡献",
            unit="money",
        ),
        Column("contribution_total", EXACT_MONEY, "the contribution so far", "累计贡献", unit="money"),
        Column("paid_back", "BOOLEAN", "past payback (has earned more than was put in)", "收入大于投入"),
        Column(
            "products",
            "INTEGER",
            "the number of products held",
            "持有产品数",
            unit="products",
            optional=True,
        ),
        Column("product_opened", "BOOLEAN", "the holder of a newly opened product", "近期新开产品"),
        Column(
            "live",
            "BOOLEAN",
            "live (enough deposits and investments, or a loan that is not overdue)",
            "有达标的存款投资或未逾期的贷款",
        ),
        Column(
            "debts_settled",
            "BOOLEAN",
            "settled (all balances are zero and nothing is open)",
            "余额为零、业务已全部结清",
        ),
        Column(
            "balances_falling",
            "BOOLEAN",
            "drawing balances down (deposits and investments, net of revaluation)",
            "存款与投资余额明显下降",
        ),
        Column(
            "contacted",
            "BOOLEAN",
            "in contact (reached or engaged by a contact, or came in)",
            "已触达、有回应或主动来访",
        ),
    ),
)
