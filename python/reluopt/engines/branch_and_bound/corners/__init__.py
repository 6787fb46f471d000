"""Networks whose neurons see a part of the picture each, over an L1 ball.

Linear forms let every neuron have the whole budget for itself, and a convolution has thousands of
them. The bounds of :mod:`.forms` are about one change for all: what they add up are convex
functions of it, which are largest where the whole budget is spent on one pixel. :mod:`.climbing`
chooses their slopes, :mod:`.radius` finds the largest ball within which they exclude everything.
"""
