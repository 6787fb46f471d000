"""Specifications in VNN-LIB: read, decided, and answered in the competition's words."""
