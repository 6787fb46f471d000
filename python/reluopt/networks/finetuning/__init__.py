"""Fine-tuning: the smallest change of weights that corrects a network's answers to some inputs.

After Kronqvist, *Building upon MIP and classical optimization techniques to learn robust deep
neural networks*, lecture at CO@Work 2024. :mod:`.parameters` derives networks by their weights,
:mod:`.least_change` solves the quadratic programs in their dual, :mod:`.correction` is the method.
"""
