"""What published protobuf classes say of their fields; free of imports, since servers of other environments run it."""

from typing import Any


def fields_of(*files: Any) -> dict[str, dict[int, list[Any]]]:
    """Message → number → [name, type, repeated], of the files' messages and all that these lead to."""
    found: dict[str, dict[int, list[Any]]] = {}
    open_ones = [message for file in files for message in file.message_types_by_name.values()]
    while open_ones:
        message = open_ones.pop()
        if message.name in found:
            continue
        found[message.name] = {
            # An enumeration (14) is an int32 (5) on the wire.
            field.number: [field.name, 5 if field.type == 14 else field.type, _repeated(field)]
            for field in message.fields
        }
        open_ones += [field.message_type for field in message.fields if field.message_type is not None]
    return found


def differing_fields(protocol: str, published: dict[str, dict[str, list[Any]]]) -> list[str]:
    """Where our tables of a protocol's fields say otherwise than `fields_of` of the published classes."""
    from models.scorers.remote.messages import messages

    ours = fields_of(*{made.DESCRIPTOR.file for made in messages(protocol).values()})
    return [
        f"{message}.{number}: {field}"
        for message, fields in ours.items()
        for number, field in fields.items()
        if published[message].get(str(number)) != field
    ]


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)
