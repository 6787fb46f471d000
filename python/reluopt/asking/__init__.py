"""Three lines: :func:`~.ask.nearest`, :func:`~.ask.verify` and :func:`~.ask.worst_case`.

They take what people have at hand (models of any framework, images of any shape, words for choices)
to the questions of :mod:`reluopt.questions`, and give typed results back that can be looked at.
"""
