"""A made-up stream of applications for loans: what decides about repayment changes one day."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from examples.loop.arriving import KNOWN_AFTER, Stream
from examples.loop.plan import LOANS, every

CHANGE = "2019-04-04"
SHORT = replace(LOANS, born=date(2019, 2, 21), looks=every(date(2019, 3, 21), date(2019, 8, 8), 28))


def made_up(change: str, rows: int = 20_000, until: str = "2019-08-01") -> Stream:
    """Whoever has a small debt repays; from the change on that matters no more, and having repaid before does."""
    random = np.random.default_rng(7)
    times = pd.date_range("2019-01-03", until, rows, tz="UTC").astype("datetime64[us, UTC]")
    debt, before = random.uniform(0, 1, rows), random.random(rows) < 0.5
    says = np.where(times < pd.Timestamp(change, tz="UTC"), 4 - 8 * debt, 6 * before - 3)
    repaid = random.random(rows) < 1 / (1 + np.exp(-says))
    events = pd.DataFrame({
        "id": [f"a{number}" for number in range(rows)],
        "car_value": random.uniform(10_000, 60_000, rows) * np.where(times < pd.Timestamp(change, tz="UTC"), 1, 1.6),
        "salary_range": random.choice(["low", "high"], rows), "debt_to_income_ratio": debt,
        "loan_length": random.integers(6, 23, rows).astype(float), "repaid_loan_on_prev_car": before,
        "size_of_downpayment": random.choice(["0%", "20%"], rows), "driver_tenure": random.uniform(0, 7, rows),
        "applied_at": times,
    })  # fmt: skip
    known = events["applied_at"] + pd.Timedelta(KNOWN_AFTER)
    labels = pd.DataFrame({"id": events["id"], "repaid": repaid.astype(int), "known_at": known})
    tables = [pa.Table.from_pandas(each, preserve_index=False) for each in (events, labels)]
    return Stream(tables[0], tables[1], "applied_at", "known_at")
