"""`audit event ID`: the scores of one event."""

from audit.asking.answers import OneScore, answers
from audit.asking.sources import AuditSources, UnknownToAudit


def event_answers(sources: AuditSources, event_id: str) -> list[OneScore]:
    """The scores of an event, by role and version. That they are read is written to the access log first.

    Raises:
        UnknownToAudit: there are none.
        StoreError: the access could not be written; nothing may be shown then.
    """
    found = answers(sources.audit.find("event_id", event_id))
    if not found:
        seen = sources.audit.looked_through
        advice = seen.advice("look for it in the job's dead letters")
        where = f"looked through {seen} in {sources.audit.url}"
        raise UnknownToAudit(f"event {event_id!r} is in no receipt: {where}; next: {advice}")
    subject = min((name for each in found if (name := each.shown.named("subject"))), default=None)
    models = {each.shown.receipt["model"] for each in found}
    allowed = sources.allowed(models, "event", event_id=found[0].shown.named("event_id"), subject=subject)
    found = [each for each in found if each.shown.receipt["model"] in allowed]
    sources.take_findings(found)
    return sorted(found, key=_turn)


def _turn(answer: OneScore) -> tuple[str, str, str]:
    one = answer.shown.receipt
    return one["role"], one["version"], one["score_id"]
