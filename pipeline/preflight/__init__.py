"""`halflife doctor`: what can be found out about a job before it runs. The only package besides `pipeline.run` that
imports runners and endpoints: docs/decisions/preflight.md."""
