"""What is asked: norms, margins, targets, limits on changes, problems."""
