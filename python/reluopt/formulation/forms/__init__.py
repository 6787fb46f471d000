"""The formulations, one file each."""
