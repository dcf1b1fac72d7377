"""The published datasets. A change here is a change of the schema that readers rely on."""

from clvpipe.contracts.model import MONEY, Column, Table, as_of_column

# One line a column: these tables are read more than they are edited.
# fmt: off
_PROBABILITY = (0.0, 1.0)
_CUSTOMER = Column("customer_id", "VARCHAR", "The customer.", "客户编号")


def _status(group: str, of: str, zh: str) -> tuple[Column, Column]:
    return (
        Column(f"{group}_status", "VARCHAR", f"Whether {of} is known.", f"{zh}状态", scheme="status"),
        Column(
            f"{group}_reason",
            "VARCHAR",
            f"Why {of} is not OK; NULL beside OK.",
            f"{zh}原因",
            optional=True,
            scheme="reason",
        ),
    )


def _money(name: str, definition: str, zh: str, status: str) -> Column:
    return Column(name, MONEY, definition, zh, unit="money", status=status)


def _days(name: str, definition: str, zh: str, status: str) -> Column:
    return Column(name, "INTEGER", definition, zh, unit="days", status=status)


CUSTOMER_SEGMENTS = Table(
    "customer_segments",
    "customer seen in any extract up to as_of",
    ("customer_id",),
    (
        as_of_column(),
        _CUSTOMER,
        Column("branch", "VARCHAR", "The branch that looks after the customer.", "网点", status="branch_status"),
        *_status("branch", "the branch", "网点"),
        Column("community", "VARCHAR", "Where the customer lives.", "社区", status="community_status"),
        *_status("community", "the community", "社区"),
        Column("relationship_manager", "VARCHAR", "Who looks after the customer.", "客户经理", status="relationship_manager_status"),
        *_status("relationship_manager", "the relationship manager", "客户经理"),
        Column("marketing_allowed", "BOOLEAN", "The customer has consented to marketing and not taken it back.", "可营销", status="marketing_status"),
        *_status("marketing", "the consent", "营销同意"),
        Column("relationship_start", "DATE", "Earliest purchase or holding.", "关系起始日", status="relationship_status"),
        _days("relationship_days", "From the relationship's start to as_of.", "关系时长", "relationship_status"),
        *_status("relationship", "the relationship", "关系"),
        Column("first_purchase_day", "DATE", "First purchase day.", "首次购买日", status="history_status"),
        Column("last_purchase_day", "DATE", "Last purchase day.", "最近购买日", status="history_status"),
        Column("purchase_days_total", "INTEGER", "Purchase days up to as_of.", "累计购买天数", unit="days"),
        Column("frequency", "INTEGER", "x: repeat purchase days.", "重复购买次数", unit="purchases", status="history_status"),
        _days("t_x_days", "t_x: from the first to the last purchase day.", "末次购买时龄", "history_status"),
        _days("t_days", "T: from the first purchase day to as_of.", "观察时长", "history_status"),
        _money("historic_contribution", "Contribution of all purchase days up to as_of.", "历史贡献", "history_status"),
        *_status("history", "the purchase history", "购买历史"),
        _money("mean_repeat_contribution", "m: mean contribution of a repeat purchase day.", "平均重复贡献", "repeat_status"),
        *_status("repeat", "the mean repeat contribution", "重复购买"),
        _days("recency_days", "Silence: days since the last purchase day.", "最近购买距今天数", "rfm_status"),
        Column("rfm_purchase_days", "INTEGER", "Purchase days in the RFM window.", "窗口购买天数", unit="days", status="rfm_status"),
        _money("rfm_contribution", "Contribution in the RFM window.", "窗口贡献", "rfm_status"),
        Column("r_score", "INTEGER", "Recency score, 5 best.", "R分", status="rfm_status", bounds=(1, 5)),
        Column("f_score", "INTEGER", "Frequency score, 5 best.", "F分", status="rfm_status", bounds=(1, 5)),
        Column("m_score", "INTEGER", "Monetary score, 5 best.", "M分", status="rfm_status", bounds=(1, 5)),
        Column("rfm_code", "VARCHAR", "The three scores, such as 545.", "RFM代码", status="rfm_status"),
        Column("rfm_group", "VARCHAR", "Group of the code.", "RFM分组", status="rfm_status", scheme="rfm_group"),
        *_status("rfm", "RFM", "RFM"),
        Column("p_alive", "DOUBLE", "P(alive): probability of not having left for good.", "存活概率", unit="probability", status="p_alive_status", bounds=_PROBABILITY),
        *_status("p_alive", "P(alive)", "存活概率"),
        Column("p_active_12m", "DOUBLE", "Probability of at least one purchase in the next 365.25 days.", "未来12月活跃概率", unit="probability", status="p_active_status", bounds=_PROBABILITY),
        *_status("p_active", "the probability of a purchase", "活跃概率"),
        Column("expected_purchases_12m", "DOUBLE", "Expected purchase days in the next 365.25 days.", "未来12月预期购买", unit="purchases", status="purchases_status"),
        Column("expected_purchases_24m", "DOUBLE", "Expected purchase days in the next 730.5 days.", "未来24月预期购买", unit="purchases", status="purchases_status"),
        *_status("purchases", "the expected purchases", "预期购买"),
        _money("expected_contribution", "E[M]: expected contribution of a purchase day.", "预期单次贡献", "contribution_status"),
        *_status("contribution", "the expected contribution", "预期贡献"),
        _money("clv_12m", "Discounted expected contribution of the next 365.25 days.", "12月客户生命周期价值", "clv_status"),
        _money("clv_24m", "Discounted expected contribution of the next 730.5 days.", "24月客户生命周期价值", "clv_status"),
        Column("clv_decile", "INTEGER", "Decile of clv_12m by frozen cuts, 10 best.", "价值十分位", status="clv_status", bounds=(1, 10)),
        Column("model_used", "VARCHAR", "The purchase model behind the expectation.", "所用模型", status="clv_status", scheme="model"),
        *_status("clv", "the lifetime value", "生命周期价值"),
        Column("products_held", "INTEGER", "Different products among the open holdings.", "持有的产品总数", unit="products", status="holdings_status"),
        Column("financial_asset_accounts", "INTEGER", "Open holdings of financial assets.", "金融资产账户数", unit="accounts", status="holdings_status"),
        *_status("holdings", "what is held", "持有"),
        Column("mobile_accounts", "INTEGER", "Open holdings that are used by a mobile device.", "移动账户数量", unit="accounts", status="mobile_status"),
        *_status("mobile", "the number of mobile accounts", "移动账户"),
        _money("deposits", "Deposits on as_of.", "存款余额", "deposits_status"),
        _money("average_deposit_12m", "Mean of deposits over the covered days of the last 365; 0 where none is covered.", "年日均存款", "deposits_status"),
        *_status("deposits", "what the deposits are", "存款"),
        _money("loans", "Loans on as_of.", "贷款余额", "loans_status"),
        _money("average_loan_12m", "Mean of loans over the covered days of the last 365; 0 where none is covered.", "年日均贷款", "loans_status"),
        *_status("loans", "what the loans are", "贷款"),
        _money("investments", "Investments on as_of.", "投资市值", "investments_status"),
        _money("average_investment_12m", "Mean of investments over the covered days of the last 365; 0 where none is covered.", "年日均投资", "investments_status"),
        *_status("investments", "what the investments are", "投资"),
        _money("financial_assets", "Deposits and investments on as_of, as far as they are told.", "金融资产金额", "financial_assets_status"),
        *_status("financial_assets", "what the financial assets are", "金融资产"),
        _days("balance_covered_days", "Days of the last 365 for which a balance is known.", "余额覆盖天数", "balances_status"),
        *_status("balances", "what the balances are", "余额"),
        _money("asset_value_12m", "Asset business: what loans earned in 365 days above funding and expected loss.", "资产价值", "asset_value_status"),
        *_status("asset_value", "what loans earned", "资产价值"),
        _money("liability_value_12m", "Liability business: what deposits earned in 365 days.", "债务业务价值", "liability_value_status"),
        *_status("liability_value", "what deposits earned", "债务业务价值"),
        _days("rates_missing_days", "Days of the last 365 on which a balance that is not zero had no rate.", "缺利率天数", "balance_income_status"),
        *_status("balance_income", "whether balances have rates", "余额利率"),
        _money("cost_12m", "Onboarding within the last 365 days, and maintenance after the new-customer days.", "成本", "cost_status"),
        *_status("cost", "the cost", "成本"),
        _money("intermediary_value_12m", "Intermediary services: contribution of purchase days and fees on other events, of 365 days.", "中介服务价值", "current_value_status"),
        _money("current_value", "Sum of the parts of the last 365 days that current_value_basis names, rounded once.", "当前价值", "current_value_status"),
        Column("current_value_basis", "VARCHAR", "What went into the current value.", "当前价值口径", status="current_value_status", scheme="basis"),
        *_status("current_value", "the current value", "当前价值"),
        _money("balance_annuity_12m", "Discounted margins of the next 12 months on the balances of open accounts, while these last.", "余额年金", "annuity_status"),
        *_status("annuity", "the balance annuity", "余额年金"),
        _money("future_value_12m", "Sum of what future_value_basis names.", "未来12月价值", "future_value_status"),
        Column("future_value_basis", "VARCHAR", "What went into the future value.", "未来价值口径", status="future_value_status", scheme="basis"),
        *_status("future_value", "the future value", "未来价值"),
        Column("products_rank", "DOUBLE", "Percentile rank of products_held among the customers of the calibration.", "产品数分位", unit="share", status="products_rank_status", bounds=_PROBABILITY),
        *_status("products_rank", "the rank of products", "产品数分位"),
        Column("mobile_rank", "DOUBLE", "Percentile rank of mobile_accounts.", "移动账户分位", unit="share", status="mobile_rank_status", bounds=_PROBABILITY),
        *_status("mobile_rank", "the rank of mobile accounts", "移动账户分位"),
        Column("assets_rank", "DOUBLE", "Percentile rank of financial_assets, or of their number, as configured.", "金融资产分位", unit="share", status="assets_rank_status", bounds=_PROBABILITY),
        *_status("assets_rank", "the rank of financial assets", "金融资产分位"),
        Column("residual_clv_rank", "DOUBLE", "Percentile rank of clv_12m.", "剩余价值分位", unit="share", status="residual_clv_rank_status", bounds=_PROBABILITY),
        *_status("residual_clv_rank", "the rank of the residual CLV", "剩余价值分位"),
        Column("potential_index", "DOUBLE", "Weighted mean of the ranks that potential_basis names.", "潜在价值指数", unit="share", status="potential_status", bounds=_PROBABILITY),
        Column("potential_basis", "VARCHAR", "Which ranks went into the index.", "潜在价值口径", status="potential_status", scheme="potential_basis"),
        *_status("potential", "the potential value", "潜在价值"),
        Column("quadrant", "VARCHAR", "Current value x potential value.", "价值象限", status="quadrant_status", scheme="quadrant"),
        *_status("quadrant", "the quadrant", "价值象限"),
        Column("value_tier", "VARCHAR", "Tier of the future value.", "价值层级", status="value_tier_status", scheme="value_tier"),
        *_status("value_tier", "the value tier", "价值层级"),
        Column("deposit_tier", "VARCHAR", "Deposit tier in force, by the bank's rules of memory.", "存款层级", status="deposit_tier_status", scheme="deposit_tier"),
        Column("deposit_tier_raw", "VARCHAR", "Tier that the last complete month alone would earn.", "当月达标层级", status="deposit_tier_status", scheme="deposit_tier"),
        Column("deposit_watch", "VARCHAR", "Whether the tier is on watch.", "层级观察状态", status="deposit_tier_status", scheme="deposit_watch"),
        Column("deposit_months_below", "INTEGER", "Complete months in a row below the tier.", "未达标月数", unit="months", status="deposit_tier_status"),
        _money("deposit_average", "Average daily deposits of the last complete month, or what stood at its end.", "月日均存款", "deposit_tier_status"),
        Column("deposit_basis", "VARCHAR", "Whether that is an average by day or the proxy of the month's end.", "日均口径", status="deposit_tier_status", scheme="deposit_basis"),
        *_status("deposit_tier", "the deposit tier", "存款层级"),
        Column("is_new", "BOOLEAN", "Relationship of at most the new-customer days.", "新客户"),
        Column("is_existing", "BOOLEAN", "Older relationship, not terminated.", "存量客户"),
        Column("is_potential", "BOOLEAN", "Potential at or above its threshold.", "潜力客户", status="potential_status"),
        Column("lifecycle_state", "VARCHAR", "State of the lifecycle machine.", "生命周期状态", scheme="lifecycle_state"),
        Column("stage5", "VARCHAR", "Five customer stages.", "五阶段", scheme="stage5"),
        Column("relationship5", "VARCHAR", "Five relationship stages.", "关系五阶段", scheme="relationship5"),
        Column("icbc6", "VARCHAR", "Six periods.", "六期", scheme="icbc6"),
        Column("stage4", "VARCHAR", "Four management aims.", "四环节", scheme="stage4"),
        *_status("lifecycle", "the lifecycle state", "生命周期"),
        Column("payback_reached", "BOOLEAN", "Cumulative contribution has passed cumulative cost.", "收入大于投入", status="payback_status"),
        *_status("payback", "the payback", "回本"),
        Column("own_gap_days", "DECIMAL(10,1)", "Median gap between purchase days.", "自身购买间隔", unit="days", status="own_gap_status"),
        _days("longest_gap_days", "Longest gap between purchase days.", "最长购买间隔", "own_gap_status"),
        *_status("own_gap", "the own gap", "自身间隔"),
        Column("churn_gap_days", "DECIMAL(10,1)", "Silence beyond which the customer counts as churned.", "流失间隔", unit="days"),
        _days("trend_window_days", "Recent window of the decline test.", "趋势窗口", "trend_status"),
        Column("trend_purchases", "INTEGER", "Purchase days in the recent window.", "近期购买天数", unit="days", status="trend_status"),
        Column("trend_baseline_purchases", "INTEGER", "Purchase days in the baseline.", "基线购买天数", unit="days", status="trend_status"),
        _days("trend_baseline_days", "Length of the baseline.", "基线天数", "trend_status"),
        Column("decline_p_value", "DOUBLE", "One-sided conditional binomial test of a fall.", "下降检验p值", unit="probability", status="trend_status", bounds=_PROBABILITY),
        *_status("trend", "the decline test", "下降趋势"),
        Column("smallest_detectable_fall", "DOUBLE", "Smallest fall of the rate that the test could have called.", "可检出最小降幅", unit="share", status="detectable_status", bounds=_PROBABILITY),
        *_status("detectable", "the smallest detectable fall", "可检出降幅"),
        Column("growth_p_value", "DOUBLE", "One-sided conditional binomial test of a rise.", "上升检验p值", unit="probability", status="growth_status", bounds=_PROBABILITY),
        *_status("growth", "the growth test", "上升趋势"),
        Column("dispersion_p_value", "DOUBLE", "Index-of-dispersion test of twelve monthly counts.", "离散检验p值", unit="probability", status="steadiness_status", bounds=_PROBABILITY),
        *_status("steadiness", "the dispersion test", "稳定性"),
        Column("calibration_id", "VARCHAR", "The frozen calibration that the labels stand on.", "校准版本"),
    ),
)

_HISTORY = (
    "customer_id", "lifecycle_state", "stage5", "relationship5", "icbc6", "stage4", "lifecycle_status", "lifecycle_reason",
    "rfm_code", "rfm_group", "rfm_status", "rfm_reason",
    "current_value", "current_value_status", "current_value_reason",
    "potential_index", "potential_status", "potential_reason", "quadrant", "quadrant_status", "quadrant_reason",
    "clv_12m", "clv_status", "clv_reason", "future_value_12m", "future_value_status", "future_value_reason",
    "value_tier", "value_tier_status", "value_tier_reason",
    "deposit_tier", "deposit_tier_status", "deposit_tier_reason", "calibration_id",
)

SEGMENT_HISTORY = Table(
    "segment_history",
    "customer x month-end, and the latest day",
    ("as_of_date", "customer_id"),
    (as_of_column(), *(CUSTOMER_SEGMENTS.column(name) for name in _HISTORY)),
)

SEGMENT_SUMMARY = Table(
    "segment_summary",
    "dimension x cell x member x scheme x label; a label without a row has nobody",
    ("dimension", "cell", "member", "scheme", "label"),
    (
        as_of_column(),
        Column("dimension", "VARCHAR", "What is broken down: nothing (ALL), by BRANCH or by COMMUNITY. Each dimension adds up to ALL, label by label.", "维度", scheme="dimension"),
        Column("cell", "VARCHAR", "ALL, one MEMBER, UNKNOWN, or the REMAINDER: the sum of the suppressed cells of a label.", "单元", scheme="cell"),
        Column("member", "VARCHAR", "The branch or community; NULL beside every cell but MEMBER.", "成员", optional=True),
        Column("scheme", "VARCHAR", "Which label system.", "标签体系"),
        Column("label", "VARCHAR", "Code in the scheme, or the status of those who have none.", "标签"),
        Column("customers", "INTEGER", "Customers with the label. What is suppressed may be zero.", "客户数", unit="customers", status="summary_status"),
        Column("customer_share", "DOUBLE", "Share of the customers of the member; beside every cell but MEMBER, of all customers of the bank.", "客户占比", unit="share", status="summary_status", bounds=_PROBABILITY),
        _money("current_value", "Sum of what is known.", "当前价值合计", "summary_status"),
        Column("current_value_known", "INTEGER", "Customers whose current value is known.", "当前价值已知客户数", unit="customers", status="summary_status"),
        _money("clv_12m", "Sum of what is known.", "12月价值合计", "summary_status"),
        Column("clv_12m_known", "INTEGER", "Customers whose clv_12m is known.", "12月价值已知客户数", unit="customers", status="summary_status"),
        *_status("summary", "the cell", "汇总"),
    ),
)

MODEL_FIT = Table(
    "model_fit",
    "model x quantity",
    ("model", "quantity"),
    (
        as_of_column(),
        Column("model", "VARCHAR", "Fitted model: as named in model_used, GAMMA_GAMMA, KAPLAN_MEIER, or a baseline.", "模型", scheme="model"),
        Column("quantity", "VARCHAR", "Parameter, or fact about the fit.", "参数"),
        Column("kind", "VARCHAR", "PARAMETER, VERDICT, DATA, BASELINE or CROSSCHECK.", "类别", scheme="fit_kind"),
        Column("value", "DOUBLE", "Estimate or number (booleans as 0 and 1).", "值", status="value_status"),
        *_status("value", "the number", "值"),
        Column("standard_error", "DOUBLE", "From the observed Hessian; of a survival curve by Greenwood.", "标准误", status="error_status"),
        Column("ci_low_95", "DOUBLE", "Lower end of the 95 % interval, from log parameters; of a survival curve from its error, within [0, 1].", "95%下限", status="error_status"),
        Column("ci_high_95", "DOUBLE", "Upper end of the 95 % interval, likewise.", "95%上限", status="error_status"),
        *_status("error", "the error", "误差"),
        Column("note", "VARCHAR", "What the number is.", "说明"),
        Column("calibration_id", "VARCHAR", "The calibration that the fit belongs to.", "校准版本"),
    ),
)

THRESHOLDS = Table(
    "thresholds",
    "threshold",
    ("name",),
    (
        as_of_column(),
        Column("name", "VARCHAR", "Setting or calibrated cut.", "阈值"),
        Column("value", "DECIMAL(28,8)", "The number.", "值"),
        Column("comparison", "VARCHAR", "How a value is held against it; `rule`: as the rule that names it has it.", "比较"),
        Column("unit", "VARCHAR", "Its unit.", "单位"),
        Column("source", "VARCHAR", "CONFIG, or CALIBRATION (frozen from data).", "来源", scheme="threshold_source"),
        Column("method", "VARCHAR", "How a calibrated cut was found.", "方法", optional=True),
        Column("provenance", "VARCHAR", "Why this number.", "依据"),
        Column("version", "VARCHAR", "Calibration, or digest of the configuration.", "版本"),
    ),
)

WEIGHTS = Table(
    "weights",
    "component of the potential index",
    ("component",),
    (
        as_of_column(),
        Column("component", "VARCHAR", "Which rank.", "指标", scheme="component"),
        Column("weight", "DOUBLE", "Its share in the index where all are available.", "权重", unit="share", bounds=_PROBABILITY),
        Column("method", "VARCHAR", "How the weights were found.", "赋权方法", scheme="weight_method"),
        Column("consistency_ratio", "DOUBLE", "Of the pairwise judgements (AHP).", "一致性比率", unit="share", optional=True),
        Column("entropy", "DOUBLE", "Of the ranks, 1: the same for all (ENTROPY).", "信息熵", unit="share", optional=True, bounds=_PROBABILITY),
        Column("customers", "INTEGER", "Customers whose ranks were used (ENTROPY).", "客户数", unit="customers", optional=True),
        Column("provenance", "VARCHAR", "Why these weights.", "依据"),
        Column("calibration_id", "VARCHAR", "The frozen calibration that they belong to.", "校准版本"),
    ),
)

CODES = Table(
    "codes",
    "scheme x code",
    ("scheme", "sort_order"),
    (
        as_of_column(),
        Column("scheme", "VARCHAR", "Code system.", "体系"),
        Column("code", "VARCHAR", "What software uses.", "代码"),
        Column("belongs_to", "VARCHAR", "Of an rfm_code its rfm_group; else NULL.", "所属分组", optional=True, scheme="rfm_group"),
        Column("label_en", "VARCHAR", "English label.", "英文标签"),
        Column("label_zh", "VARCHAR", "Chinese label, as the banks use it.", "中文标签"),
        Column("sort_order", "INTEGER", "Order in the scheme, from 1.", "排序"),
        Column("source", "VARCHAR", "Where the scheme comes from.", "出处"),
    ),
)

DATA_QUALITY = Table(
    "data_quality",
    "check x subject",
    ("check_name", "subject"),
    (
        as_of_column(),
        Column("check_name", "VARCHAR", "What was checked.", "检查项"),
        Column("subject", "VARCHAR", "Table or file that was checked.", "对象"),
        Column("severity", "VARCHAR", "BLOCKS, WARNS or INFORMS.", "级别", scheme="severity"),
        Column("passed", "BOOLEAN", "Whether the check passed.", "是否通过"),
        Column("observed", "BIGINT", "What was counted.", "观察值"),
        Column("allowed", "VARCHAR", "What is allowed, where there is a limit.", "上限", optional=True),
        Column("detail", "VARCHAR", "One sentence.", "说明"),
    ),
)

REJECTED_ROWS = Table(
    "rejected_rows",
    "record set aside",
    ("table_name", "file_name", "line", "reason"),
    (
        as_of_column(),
        Column("table_name", "VARCHAR", "Table that the record was for.", "表"),
        Column("file_name", "VARCHAR", "File that it came in.", "文件"),
        Column("line", "BIGINT", "Physical line (Parquet: row).", "行号"),
        Column("column_name", "VARCHAR", "Column that is wrong; NULL: the whole record.", "列", optional=True),
        Column("reason", "VARCHAR", "Why it was set aside.", "原因", scheme="reject_reason"),
    ),
)

PUBLISHED = {
    table.name: table
    for table in (
        CUSTOMER_SEGMENTS,
        SEGMENT_HISTORY,
        SEGMENT_SUMMARY,
        MODEL_FIT,
        THRESHOLDS,
        WEIGHTS,
        CODES,
        DATA_QUALITY,
        REJECTED_ROWS,
    )
}
