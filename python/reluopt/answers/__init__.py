"""What is answered, and whether the real network agrees."""
