"""Reference profiles of bundles, and mergeable counts of what is observed on their cells."""

from models.profiles.columns import (
    MAX_BINS,
    SCORE,
    CategoricalColumn,
    Column,
    NumericColumn,
    UnsupportedColumn,
)
from models.profiles.documents import MAX_PROFILE_BYTES, InvalidProfile, parse_profile, serialise_profile
from models.profiles.observed import GroupCells, cells_of_rows, observe, observe_groups, tally_groups
from models.profiles.reference import Profile, build_profile
from models.profiles.segments import segment_of, with_segments
from models.profiles.training_windows import with_training_windows
from models.profiles.usual import TrainingWindows, windows_for

__all__ = [
    "MAX_BINS",
    "MAX_PROFILE_BYTES",
    "SCORE",
    "CategoricalColumn",
    "Column",
    "GroupCells",
    "InvalidProfile",
    "NumericColumn",
    "Profile",
    "TrainingWindows",
    "UnsupportedColumn",
    "build_profile",
    "cells_of_rows",
    "observe",
    "observe_groups",
    "parse_profile",
    "segment_of",
    "serialise_profile",
    "tally_groups",
    "windows_for",
    "with_segments",
    "with_training_windows",
]
