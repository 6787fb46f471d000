"""Networks whose first units see a patch of the picture each, by concave envelopes of these units.

A unit, the largest of a few affine forms, is convex. Its least concave majorant over the ball cut
by the box lies below any other bound of it, and is what many planes show together
(:mod:`.planes`). With a few planes for each unit, linear programs (:mod:`.program`) nearly solve
networks of one convolution; a tree (:mod:`.tree`) decides which piece leads where that is open.
"""
