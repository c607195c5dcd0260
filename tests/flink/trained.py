"""Real scikit-learn models over flights, as a data scientist would save them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.flights.service import Event


def late_departures(flights: Sequence[Event], columns: Sequence[str], folder: Path) -> pd.DataFrame:
    """Fits a pipeline on numbers of flights, into `model.skops` of a new folder; returns what it was fitted on.

    A column that flights do not have is computed from their delays: enough for a model with distinguishable answers.
    """
    frame = pd.DataFrame([[float(one[name if name in one else "dep_delay"]) for name in columns] for one in flights])
    frame.columns = pd.Index(columns)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, frame["dep_delay"] > 15)
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    return frame
