"""What a run does where the folders of its sinks hold records of earlier runs."""

from enum import StrEnum


class SinkPolicy(StrEnum):
    """`APPEND` adds to them, `NEW` refuses them, `REPLACE` deletes those of the same job, except its audit."""

    APPEND = "append"
    NEW = "new"
    REPLACE = "replace"
