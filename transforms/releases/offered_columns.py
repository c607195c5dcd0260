"""What a job offers to a model."""

from schemas.job import Job
from transforms.features.added_aggregates import aggregate_of


def columns_of(job: Job) -> dict[str, str]:
    """Every column a model may read in this job, with its type: the event columns and the features."""
    columns = job.events.of_event
    kinds = {f.name: aggregate_of(f.aggregate).kind(columns.get(f.column or "")) for f in job.features.windowed}
    return {**columns, **kinds, **{each.name: each.kind for each in job.features.late}}
