"""Quality records of the groups of a pair of versions. Pure; all groups of a metric at once."""

import numpy as np
import pyarrow as pa

from transforms.quality.answers import PairedBy
from transforms.quality.measuring.pair_measures import NO_LABEL, NO_TRUTH, OTHER_LOSS, pair_measures
from transforms.quality.measuring.quality_records import Described, QualityOrigin, as_records, selective
from transforms.quality.sums import pair_sums as of
from transforms.quality.sums.exact_sums import Ints
from transforms.quality.sums.pair_sums import PairSums


def pair_records(sums: PairSums, by: PairedBy, origin: QualityOrigin) -> pa.RecordBatch:
    """A batch in the schema of Quality: each metric of each group, in order of groups; `against` is set."""
    measures, counts = pair_measures(sums, by), sums.counts
    values = np.stack([each.value for each in measures.values()], axis=1)
    losses, whys = _whys_of_losses(sums, by, counts), list[str | None]()
    for known, of_loss in zip(np.isfinite(values).tolist(), losses, strict=True):
        for each, has_value in zip(measures.values(), known, strict=True):
            whys.append(of_loss if each.needs_labels else None if has_value else each.why)
    described = Described(sums.groups, counts[:, of.PAIRS], counts[:, of.LABELLED], whys, [None] * len(whys))
    return as_records(measures, described, by.version, origin, by.against.version)


def _whys_of_losses(sums: PairSums, by: PairedBy, counts: Ints) -> list[str | None]:
    """Of each group why there is no difference of losses; where there is one, whether only the events of one decision
    have labels."""
    found = list[str | None]()
    for (pairs, labelled, unusable), decided in zip(
        counts[:, [of.PAIRS, of.LABELLED, of.UNUSABLE]].tolist(), sums.decided.tolist(), strict=True
    ):
        if not by.same_loss:
            found.append(OTHER_LOSS)
        elif not labelled:
            found.append(NO_TRUTH if unusable else NO_LABEL)
        else:
            sides = ((by.against, decided[1]), (by.version, decided[0]))  # labels mostly follow the one that answered
            said = [selective(who, pairs, some, labelled, known) for who, (some, known) in sides if who.decides]
            found.append(next((each for each in said if each), None))
    return found
