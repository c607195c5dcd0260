"""What changes of models cost."""
