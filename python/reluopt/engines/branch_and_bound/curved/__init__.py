"""Networks whose neurons see a part of the picture each, over an L2 ball.

As in :mod:`..corners` every unit is what leads at the image and an error that is zero until the
change is large enough. Over an L2 ball errors lie below squares of linear forms (:mod:`.squares`),
whose sums are quadratic functions of one change for all; :mod:`.quadratics` bounds these, and
:mod:`.radius` finds the largest ball within which they exclude everything.
"""
