"""Quality records of the groups of a pair of versions. Pure; all groups of a metric at once."""

import numpy as np
import pyarrow as pa

from transforms.quality.answers import PairedBy
from transforms.quality.measuring.clustered import without_clusters
from transforms.quality.measuring.pair_measures import NO_LABEL, NO_TRUTH, OTHER_LOSS, pair_measures
from transforms.quality.measuring.quality_records import (
    NOTHING_SAID,
    Described,
    QualityOrigin,
    Texts,
    as_records,
    selective_of,
)
from transforms.quality.sums import pair_sums as of
from transforms.quality.sums.exact_sums import Ints
from transforms.quality.sums.pair_sums import PairSums


def pair_records(sums: PairSums, by: PairedBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: each metric of each group, in order of groups; `against` is set."""
    measures, counts = pair_measures(sums, by), sums.counts
    known = np.isfinite(np.stack([each.value for each in measures.values()], axis=1))
    of_labels = np.array([each.needs_labels for each in measures.values()])
    own = np.array([each.why for each in measures.values()], np.object_)
    losses = _whys_of_losses(sums, by, counts)[:, None]
    whys = np.where(of_labels, losses, np.where(known, NOTHING_SAID, own))
    at_training = np.full(known.shape, np.nan)
    described = Described(sums.groups, counts[:, of.PAIRS], counts[:, of.LABELLED], whys, at_training)
    records = as_records(measures, described, by.version, origin, by.against.version)
    return without_clusters(sums.groups, records)


def _whys_of_losses(sums: PairSums, by: PairedBy, counts: Ints) -> Texts:
    """Of each group why there is no difference of losses; where there is one, whether only the events of one decision
    have labels."""
    if not by.same_loss:
        return np.full(len(counts), OTHER_LOSS, np.object_)
    found, labelled = np.full(len(counts), None), counts[:, of.LABELLED]
    for who, decided in ((by.version, sums.decided[:, 0]), (by.against, sums.decided[:, 1])):
        if who.decides:  # labels mostly follow the one that answered, which is said last
            said = selective_of(who, counts[:, of.PAIRS], decided[:, 0], labelled, decided[:, 1])
            found = np.where(said != None, said, found)  # noqa: E711  # of each element
    return np.where(labelled > 0, found, np.where(counts[:, of.UNUSABLE] > 0, NO_TRUTH, NO_LABEL))
