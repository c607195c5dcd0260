"""Writes the graph that later versions are compared with; run it when a version is released."""

from pathlib import Path

from runners.dataflow.compatibility import graph_of, to_json
from tests.dataflow.flights_stream import translate

RELEASED = Path(__file__).parents[2] / "runners" / "dataflow" / "graph.json"

if __name__ == "__main__":
    RELEASED.write_text(to_json(graph_of(translate())), encoding="utf-8")
    print(f"written: {RELEASED}")
