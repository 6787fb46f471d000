"""Branch and bound on ReLU phases, with relaxations and certificates of its own."""
