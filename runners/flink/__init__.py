"""Flink: the runner of the streaming service, and everything to have it on one machine (docs/flink.md).

`settings` is what a job asks of any Flink cluster; the other modules get and start a cluster, a broker and an object
store on loopback, for tests, the demo and development.
"""
