"""`halflife models`: the model store for people and machines, one module for each verb."""
