"""A clock that only moves when a test moves it."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Reads ``seconds``; calls wrapped by :meth:`charge` advance it."""

    seconds: float = 0.0
    calls: int = 0

    def __call__(self):
        return self.seconds

    def charge(self, function, seconds=1.0):
        """``function``, which takes ``seconds`` from now on and is counted."""

        def wrapper(*args, **kwargs):
            self.calls += 1
            self.seconds += seconds
            return function(*args, **kwargs)

        return wrapper
