"""The file of a rollout's policy."""

import yaml

from gates.policy import Policy, read_policy
from models.errors import one_line
from pipeline.spec.strict_yaml import MOST_CHARACTERS, read_yaml, yaml_problem
from schemas.validation import Absent, SpecError

_OPTION = "--policy"


def read_policy_file(path: str, version: str | None) -> Policy:
    """The policy in a YAML file; `version` stands for the one that it names.

    Raises:
        SpecError: the file cannot be read, or something in it is not allowed.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_CHARACTERS + 1)
        if len(raw) > MOST_CHARACTERS:
            raise SpecError(_OPTION, Absent(f"{path!r} has more than {MOST_CHARACTERS} bytes"), "a smaller policy")
        document = read_yaml(raw.decode("utf-8"))
    except OSError as error:
        said = error.strerror or one_line(error)
        raise SpecError(_OPTION, Absent(f"{path!r}: {said}"), "a readable YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(_OPTION, Absent(f"{path!r} is not YAML: {yaml_problem(error)}"), "a YAML file") from None
    if not isinstance(document, dict):
        found = Absent(f"{path!r} holds {'nothing' if document is None else repr(document)[:80]}")
        raise SpecError(_OPTION, found, "a mapping with the keys rollout, steps")
    return read_policy(document, version)
