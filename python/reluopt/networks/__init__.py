"""Networks: what they compute, their files, training and evaluation."""
