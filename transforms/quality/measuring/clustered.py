"""What events of the same subjects do to how many independent ones they are worth."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.quality.sums.exact_sums import Floats
from transforms.quality.sums.group_sums import CLUSTERS, Group


def with_clusters(groups: Sequence[Group], deflation: Floats) -> Floats:
    """The deflation of groups, where that of whole windows is also by subjects: both excesses added up, as variances
    clustered in two ways are (Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136).

    >>> with_clusters([(0, ""), (0, CLUSTERS), (0, "o=a")], np.array([1.5, 3.0, 1.2])).tolist()
    [3.5, 3.0, 1.2]
    """
    of_window = {start: at for at, (start, segment) in enumerate(groups) if segment == CLUSTERS}
    whole = [at for at, (start, segment) in enumerate(groups) if segment == "" and start in of_window]
    if not whole:
        return deflation
    in_time, by_subject = deflation[whole], deflation[[of_window[groups[at][0]] for at in whole]]
    found = deflation.copy()
    found[whole] = np.fmax(np.fmax(in_time, by_subject), in_time + by_subject - 1)
    return found


def without_clusters(groups: Sequence[Group], records: pa.RecordBatch) -> pa.RecordBatch:
    """The records of groups that are not there for their dependence alone."""
    if not any(segment == CLUSTERS for _, segment in groups):
        return records
    return records.filter(pc.not_equal(records.column("segment"), CLUSTERS))
