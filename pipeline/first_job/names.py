"""What the name of a column suggests: hints in English and German, and words that two names share."""

import re
import unicodedata
from collections.abc import Collection

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
ID = {
    "id", "uuid", "guid", "key", "nr", "no", "number", "nummer", "ref", "code", "schluessel"
}  # fmt: skip
TIME = {
    "time", "date", "timestamp", "ts", "at", "when", "datum", "zeit", "zeitpunkt", "uhrzeit", "day", "tag",
    "datetime", "epoch", "created", "occurred", "placed", "received", "started", "issued", "erstellt",
    "gesendet"
}  # fmt: skip
NOT_THE_EVENT = {
    "birth", "birthday", "dob", "geburt", "geburtsdatum", "updated", "modified", "expiry", "expires", "valid",
    "since", "seit", "ablauf", "gueltig"
}  # fmt: skip
SUBJECT = {
    "customer", "client", "user", "member", "account", "card", "person", "patient", "kunde", "kunden",
    "kundin", "konto", "karte", "device", "machine", "maschine", "sensor", "vehicle", "driver", "store",
    "merchant", "host", "subject", "entity", "tailnum", "geraet", "anlage", "employee", "mitarbeiter",
    "policy", "vertrag", "email", "mail", "phone", "telefon", "iban"
}  # fmt: skip
LABEL = {
    "label", "target", "y", "class", "outcome", "churn", "churned", "fraud", "betrug", "default", "defaulted",
    "ausfall", "late", "verspaetet", "returned", "retoure", "converted", "conversion", "clicked", "survived",
    "cancelled", "canceled", "storniert", "storno", "gekuendigt", "kuendigung", "overdue", "attrition",
    "readmitted", "bad", "anomaly", "failure", "failed", "defect", "defekt", "approved", "purchased",
    "bought", "zahlungsausfall", "response", "responded", "won", "spam", "abgesprungen"
}  # fmt: skip
NUMBER_LABEL = {
    "label", "target", "y"
}  # fmt: skip
POSITIVE = {
    "1", "true", "yes", "y", "ja", "j", "t", "positive", "pos", "late", "fraud", "churned", "default", "bad",
    "returned", "failed", "spam", "betrug", "wahr", "oui", "si", "verspaetet", "storniert"
}  # fmt: skip
AFTERMATH = {
    "outcome", "result", "ergebnis", "resolution", "resolved", "refund", "refunded", "chargeback", "closed",
    "final", "reason", "grund", "mahnung", "inkasso", "erstattet", "settled", "actual", "tatsaechlich"
}  # fmt: skip
_SAID_OFTEN = ID | TIME | SUBJECT | {
    "is", "has", "was", "flag", "status", "amount", "total", "num", "count", "value", "type", "name", "of",
    "in", "to", "the", "von", "der", "min", "max", "mean"
}  # fmt: skip
_STEM = 5


def words_of(name: str) -> list[str]:
    """The words of a column's name in lower case, without accents; `ä` is `ae`.

    >>> words_of("Liefer_datum"), words_of("isFraud2"), words_of("gekündigt")
    (['liefer', 'datum'], ['is', 'fraud', '2'], ['gekuendigt'])
    """
    plain = name
    for sign, letters in {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}.items():
        plain = plain.replace(sign, letters)
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return [word.lower() for word in _WORDS.findall(ascii_only)]


def hints_at(name: str, hints: Collection[str]) -> bool:
    """Whether a word of the name is one of the hints, or begins or ends with one of at least four letters.

    >>> hints_at("Bestellzeitpunkt", TIME), hints_at("kunden_nr", SUBJECT), hints_at("category", TIME)
    (True, True, False)
    """
    long = [hint for hint in hints if len(hint) > 3]
    return any(word in hints or any(word.startswith(each) or word.endswith(each) for each in long)
               for word in words_of(name))  # fmt: skip


def shared_word(name: str, other: str) -> str:
    """A word that says what both are about; empty where they have none in common.

    >>> shared_word("delivered_at", "delivery_rating"), shared_word("customer_id", "customer_age")
    ('deliv', '')
    """
    stems = [{word[:_STEM] for word in words_of(each) if len(word) > 3 and word not in _SAID_OFTEN}
             for each in (name, other)]  # fmt: skip
    return min(stems[0] & stems[1], default="")
