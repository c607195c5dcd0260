"""`halflife doctor`: what can be found out about a job before it runs. Beside `pipeline.run` the only place that knows
runners and endpoints: docs/decisions/preflight.md."""
