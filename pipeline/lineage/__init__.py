"""What a run tells a catalogue of lineage, as events of OpenLineage."""
