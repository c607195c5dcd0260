"""What versions were trained on, and what they answered."""
