"""Whatever the pages, docstrings and messages refer to is there, and every page can be found from the first."""

from pathlib import Path

import pytest

from tests.docs.pages import (
    ROOT,
    Reference,
    absent_files,
    anchors,
    citations_of,
    headings,
    is_there,
    links_of,
    pages,
    sections_without_a_page,
    sources,
)

WAY_IN = ROOT / "docs" / "README.md"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    assert [str(link) for link in links_of(page) if not is_there(link)] == []


def test_pages_that_files_name_are_there() -> None:
    named = [one for source in sources() for one in citations_of(source)]
    assert len(named) > 50
    assert [str(one) for one in named if not is_there(one)] == []


def test_no_file_refers_to_a_section_of_a_page_that_is_not_in_the_project() -> None:
    ours = [source for source in sources() if ROOT / "tests" / "docs" not in source.parents]
    assert [line for source in ours for line in sections_without_a_page(source)] == []


def test_files_that_pages_and_docstrings_name_are_there() -> None:
    telling = [source for source in sources() if ROOT / "tests" not in source.parents]
    assert {str(source.relative_to(ROOT)): absent for source in telling if (absent := absent_files(source))} == {}


def test_a_file_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    files = "`schemas/job.py` `models/gone.py` runners/*/settings.py runners/*/gone.py"
    page.write_text(f"{files} `schemas/avsc/` `schemas/no/`")
    assert absent_files(page) == ["models/gone.py", "runners/*/gone.py", "schemas/no/"]


def test_every_page_of_the_documentation_is_linked_from_the_way_in() -> None:
    assert WAY_IN in {link.page for link in links_of(ROOT / "README.md")}
    reached, waiting = {WAY_IN}, [WAY_IN]
    while waiting:
        linked = {link.page for link in links_of(waiting.pop()) if link.page.suffix == ".md"} - reached
        reached |= linked
        waiting += [page for page in linked if page.is_relative_to(ROOT / "docs")]
    assert [str(page.relative_to(ROOT)) for page in pages() if page not in reached and _is_documentation(page)] == []


def _is_documentation(page: Path) -> bool:
    return page.is_relative_to(ROOT / "docs") or page.is_relative_to(ROOT / "benchmarks")


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    headed = "# A page\n\n## What's *here*, twice\n## What's here, twice\n"
    page.write_text(f"{headed}[a](gone.md) [b](#no) [c](page.md#a-page)\n")
    assert anchors(page) == {"a-page", "whats-here-twice", "whats-here-twice-1"}
    assert [(link.page.name, link.anchor) for link in links_of(page) if not is_there(link)] == [
        ("gone.md", ""),
        ("page.md", "no"),
    ]


def test_a_section_or_heading_that_is_not_there_is_found() -> None:
    design = ROOT / "docs" / "design.md"
    assert any(heading.startswith("7. Windowed features") for heading in headings(design))
    assert is_there(Reference(ROOT, 1, design, heading="7."))
    assert not is_there(Reference(ROOT, 1, design, heading="77."))
    assert not is_there(Reference(ROOT, 1, ROOT / "README.md", heading="No such heading"))


def test_text_in_code_is_no_link_and_no_heading(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\n# no heading\n[x](gone.md)\n```\n# A heading\n")
    assert (headings(page), links_of(page)) == (("A heading",), [])
