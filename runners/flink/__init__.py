"""Flink: the runner of the streaming service, and everything to have it on one machine (docs/flink.md).

`settings` has the options that a job sets for any Flink cluster; the other modules download and start a cluster, a
broker and an object store on loopback, for tests, the demo and development.
"""
