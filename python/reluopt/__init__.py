"""reluopt."""
