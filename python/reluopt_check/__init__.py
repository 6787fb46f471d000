"""Checks kept proofs of reluopt in exact arithmetic, sharing no line with it; see docs/proof.md."""
