"""The job's own metrics as Flink reports them on its web page and through its reporters."""

from typing import Any
from urllib.parse import quote

from runners.flink.local.cluster import FlinkCluster

_SIGN = ".halflife_"


def job_metrics(cluster: FlinkCluster, job_id: str) -> dict[str, float]:
    """The value of each counter (summed over the workers) and gauge (the greatest of them) by its name.

    Distributions are left out: Flink's REST interface does not return them to programs. Raises `ClusterFailed`.
    """
    found: dict[str, float] = {}
    for vertex in cluster.rest(f"/jobs/{job_id}")["vertices"]:
        path = f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics"
        names = [one["id"] for one in cluster.rest(path) if _SIGN in one["id"]]
        wanted = quote(",".join(names))
        for values in cluster.rest(f"{path}?get={wanted}") if names else ():
            name = values["id"].rpartition(_SIGN)[2]
            found[name] = found.get(name, 0.0) + _value(name, values)
    return found


def _value(name: str, values: dict[str, Any]) -> float:
    gauge = name.endswith(("_versions", "_at_ms", "_unlogged"))
    return float(values["max" if gauge else "sum"])
