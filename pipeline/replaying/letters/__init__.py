"""Dead letters: what there is of them, and how they are fed again after a fix."""
