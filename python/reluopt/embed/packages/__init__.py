"""One file for each modelling package."""
