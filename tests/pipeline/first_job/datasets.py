"""Five data sets of unlike shape, as people have them, made by a seed."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 600


def _risk(rng: np.random.Generator, *columns: Any) -> Any:
    """Truths that follow from the columns, and from chance."""
    weight = sum((np.nan_to_num(column) - np.nanmean(column)) / (np.nanstd(column) or 1) for column in columns)
    return rng.random(len(columns[0])) < 1 / (1 + np.exp(1.2 - 1.5 * weight))


def _comma(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.2f}".replace(".", ",")


def orders(folder: Path) -> Path:
    """Orders from Germany: local times over the end of summer time, decimal commas, gaps, umlauts, cp1252."""
    rng = np.random.default_rng(1)
    begin = datetime(2024, 10, 20, tzinfo=UTC)
    amounts, discounts = rng.gamma(2, 40, ROWS), np.where(rng.random(ROWS) < 0.3, np.nan, rng.random(ROWS) * 20)
    returned = _risk(rng, amounts, discounts)
    lines = ["Bestellnr;Kunde;Bestellzeit;Betrag;Rabatt;Zahlart;Größe;Retoure;Erstattung;Retourengrund"]
    for row in range(ROWS):
        at = (begin + timedelta(minutes=27 * row)).astimezone(ZoneInfo("Europe/Berlin"))
        refund, why = (amounts[row], rng.choice(["zu groß", "defekt"])) if returned[row] else (None, "")
        paid = "" if row % 17 == 0 else rng.choice(["Überweisung", "Karte", "Rechnung"])
        lines.append(";".join([
            f"B{10_000 + row}", f"K{rng.integers(80):03}", at.strftime("%d.%m.%Y %H:%M"), _comma(amounts[row]),
            _comma(discounts[row]), paid, rng.choice(["S", "M", "L"]), "ja" if returned[row] else "nein",
            _comma(refund), why]))  # fmt: skip
    path = folder / "Bestellungen 2024.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def clicks(folder: Path) -> Path:
    """Impressions without an id, some of them written twice."""
    rng = np.random.default_rng(2)
    seconds = rng.gamma(2, 10, ROWS)
    clicked = _risk(rng, seconds)
    records = [
        {"ts": f"2024-03-{1 + row // 60:02}T{row % 24:02}:{row % 60:02}:00Z", "user": int(rng.integers(60)),
         "seconds": round(float(seconds[row]), 2), "mobile": bool(rng.random() < 0.5),
         "page": str(rng.choice(["home", "search", "cart"])), "clicked": bool(clicked[row])}
        for row in range(ROWS)
    ]  # fmt: skip
    path = folder / "clicks.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in [*records, *records[:5]]))
    return path


def loans(folder: Path) -> Path:
    """Loans with the time of the application and, for most, that at which they ended."""
    rng = np.random.default_rng(3)
    applied = np.sort(1_672_531_200_000_000 + rng.integers(0, 300 * 86_400, ROWS) * 1_000_000)
    days = rng.integers(20, 90, ROWS)
    settled = applied + days * 86_400_000_000
    amount, income = rng.gamma(3, 4_000, ROWS), rng.gamma(4, 9_000, ROWS)
    ended = rng.random(ROWS) < 0.9
    defaulted = _risk(rng, amount, -income)
    table = pa.table({
        "loan_id": pa.array(range(ROWS), pa.int64()),
        "applied_at": pa.array(applied, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "settled_at": pa.array(settled, pa.int64(), mask=~ended).cast(pa.timestamp("us", "UTC")),
        "amount": amount, "income": pa.array(income, mask=rng.random(ROWS) < 0.1),
        "purpose": rng.choice(["car", "house", "other"], ROWS),
        "days_open": pa.array(days.astype(float), mask=~ended),
        "settlement_fee": pa.array(rng.random(ROWS), mask=~ended),
        "written_off": pa.array(np.where(defaulted, amount, 0.0)),
        "defaulted": pa.array(defaulted.astype(np.int64), mask=~ended),
    })  # fmt: skip
    path = folder / "loans.parquet"
    pq.write_table(table, path)
    return path


def sensors(folder: Path) -> Path:
    """Readings of machines, in milliseconds since 1970, in a folder of two files; nobody knows what is wrong."""
    rng = np.random.default_rng(4)
    below = folder / "readings"
    below.mkdir()
    header = "reading_id,machine,measured_time,temperature,vibration,mode"
    for part in range(2):
        lines = [header]
        for row in range(part * ROWS // 2, (part + 1) * ROWS // 2):
            odd = 30 if row % 97 == 0 else 0
            lines.append(f"{row},m{row % 12},{1_704_067_200_000 + row * 60_000},{rng.normal(60 + odd, 2):.2f},"
                         f"{'' if row % 20 == 3 else round(rng.gamma(2, 1 + odd), 3)},{'ab'[row % 2]}")  # fmt: skip
        (below / f"part-{part}.csv").write_text("\n".join(lines))
    return below


def customers(folder: Path) -> Path:
    """One row for each customer with many columns, all as of one day."""
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=(ROWS, 60))
    churned = _risk(rng, numbers[:, 0], numbers[:, 1])
    names = [f"usage_{index:02}" for index in range(60)]
    last = ["plan", "constant", "churned", "churn_reason"]
    lines = [",".join(["customer_id", "as_of_date", "birth_date", *names, *last])]
    for row in range(ROWS):
        values = [f"{value:.3f}" for value in numbers[row]]
        reason = ["price", "moved"][row % 2] if churned[row] else ""
        lines.append(",".join([f"C{row:05}", "2024-06-30", f"19{50 + row % 50}-0{1 + row % 9}-15", *values,
                               "xyz"[row % 3], "1", "yes" if churned[row] else "no", reason]))  # fmt: skip
    path = folder / "customers.csv"
    path.write_text("\n".join(lines))
    return path


SETS: Mapping[str, Callable[[Path], Path]] = {
    "orders": orders, "clicks": clicks, "loans": loans, "sensors": sensors, "customers": customers
}  # fmt: skip
