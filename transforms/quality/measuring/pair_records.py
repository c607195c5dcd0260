"""Quality records of the groups of a pair of versions. Pure; all groups of a metric at once."""

import numpy as np
import pyarrow as pa

from transforms.quality.answers import PairedBy
from transforms.quality.measuring.pair_measures import NO_TRUTH, pair_measures
from transforms.quality.measuring.quality_records import Described, QualityOrigin, as_records
from transforms.quality.sums import pair_sums as of
from transforms.quality.sums.pair_sums import PairSums


def pair_records(sums: PairSums, by: PairedBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: each metric of each group, in order of groups; `against` is set."""
    measures, counts = pair_measures(sums, by), sums.counts
    found, usable = list[str | None](), counts[:, [of.LABELLED, of.UNUSABLE]].tolist()
    values = np.stack([each.value for each in measures.values()], axis=1)
    for known, (labelled, unusable) in zip(np.isfinite(values).tolist(), usable, strict=True):
        for (name, each), has_value in zip(measures.items(), known, strict=True):
            no_truth = name == "loss_difference" and by.same_loss and unusable and not labelled
            found.append(None if has_value else NO_TRUTH if no_truth else each.why)
    described = Described(sums.groups, counts[:, of.PAIRS], counts[:, of.LABELLED], found, [None] * len(found))
    return as_records(measures, described, by.version, origin, by.against.version)
