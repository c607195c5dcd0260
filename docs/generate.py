"""`python -m docs.generate` (`make docs`): writes into the pages what they take from the schemas and the code.

A page has regions between `<!-- made by make docs of FILE -->` and `<!-- end -->`; the rest is written by hand. A test
fails where a region is not what its file gives.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from docs.aggregates import aggregates_region, with_aggregates
from docs.functions import functions_region
from docs.job_keys import job_region
from docs.record_fields import record_region
from schemas.validation import schema_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(ROOT / "docs" / name for name in ("expressions.md", "features.md", "job.md", "records.md", "rollout.md"))
SCHEMA = ROOT / "schemas" / "json" / "job.schema.json"
_REGION = re.compile(r"(<!-- made by make docs of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MADE_OF: dict[str, Callable[[Path], str]] = {".json": job_region, ".avsc": record_region, ".py": aggregates_region}


def page_text(page: Path) -> str:
    """The page with all its regions generated again; the schema with its list of aggregates."""
    text = page.read_text(encoding="utf-8")
    return with_aggregates(text) if page == SCHEMA else _REGION.sub(_made, text)


def _made(region: re.Match[str]) -> str:
    source = ROOT / region[2]
    made = functions_region if source.name == "table.py" else _MADE_OF[source.suffix]
    return f"{region[1]}\n{made(source)}\n{region[3]}"


def main() -> int:
    """Writes the pages that changed, and names them; the schema first, from which one of them is made."""
    for page in (SCHEMA, *PAGES):
        text = page_text(page)
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            schema_of.cache_clear()  # modules that hold defaults have read it already
            print(page.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
