"""The bank's interest rates and unit costs, as they were announced."""

RATE_COLUMNS = ("rate_key", "valid_from", "funding_rate", "customer_rate", "expected_loss_rate")
COST_COLUMNS = ("cost_kind", "channel", "unit_cost", "valid_from")

# Day of the announcement -> lines.
RATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "2021-07-01": (
        ("DEPOSIT", "2021-07-01", "0.0210", "0.0085", ""),
        ("TERM_DEPOSIT", "2021-07-01", "0.0255", "0.0205", ""),
        ("LOAN", "2021-07-01", "0.0260", "0.0590", "0.0110"),
        ("MORTGAGE", "2021-07-01", "0.0300", "0.0495", "0.0020"),
    ),
    "2022-09-15": (
        ("DEPOSIT", "2022-09-15", "0.0195", "0.0075", ""),
        ("TERM_DEPOSIT", "2022-09-15", "0.0240", "0.0190", ""),
        ("LOAN", "2022-09-15", "0.0245", "0.0560", "0.0120"),
        ("MORTGAGE", "2022-09-15", "0.0285", "0.0460", "0.0020"),
    ),
    "2023-12-22": (
        ("DEPOSIT", "2024-01-01", "0.0175", "0.0055", ""),
        ("TERM_DEPOSIT", "2024-01-01", "0.0215", "0.0170", ""),
        ("LOAN", "2024-01-01", "0.0225", "0.0520", "0.0130"),
        ("MORTGAGE", "2024-01-01", "0.0265", "0.0410", "0.0025"),
    ),
}
COSTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "2021-07-01": (
        ("NEW", "", "85.00", "2021-07-01"),
        ("MAINTAIN", "", "30.00", "2021-07-01"),
        ("CHANNEL", "BRANCH", "4.20", "2021-07-01"),
        ("CHANNEL", "ATM", "0.90", "2021-07-01"),
        ("CHANNEL", "POS", "0.12", "2021-07-01"),
        ("CHANNEL", "ONLINE", "0.06", "2021-07-01"),
        ("CHANNEL", "MOBILE", "0.04", "2021-07-01"),
    ),
    "2022-12-28": (
        ("NEW", "", "92.00", "2023-01-01"),
        ("MAINTAIN", "", "33.50", "2023-01-01"),
        ("CHANNEL", "BRANCH", "4.60", "2023-01-01"),
    ),
}
