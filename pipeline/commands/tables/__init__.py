"""`halflife tables`: tables of lookups in the store, for people and machines."""
