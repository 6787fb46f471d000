"""Questions that become other questions, and the way back for their answers."""
