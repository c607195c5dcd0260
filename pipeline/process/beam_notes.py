"""What Beam says as it is imported that is no fault of anybody."""

import logging

_WITHOUT_GCP = "apitools not found"


def hide_import_notes() -> None:
    """Hide Beam's warning that the libraries of Google Cloud are absent: it is logged at each start without the extra
    `gcp`, whose sources and sinks say themselves that they need it."""
    logging.getLogger().addFilter(_is_of_interest)


def _is_of_interest(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_WITHOUT_GCP)
