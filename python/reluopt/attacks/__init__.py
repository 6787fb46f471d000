"""Attacks: images that fool a network, found fast and without proof.

* :mod:`reluopt.attacks.gradient`: FGSM and PGD, with the calling habits of Foolbox;
* :mod:`reluopt.attacks.start`: near images that meet linear conditions, in milliseconds;
* :mod:`reluopt.attacks.region`: the LP or QP of linear regions; the best of these attacks.
"""
