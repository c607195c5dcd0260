"""What a model was trained on, as the tools that keep data sets describe it."""
