"""HiGHS that prints nothing unless asked to, and runs whatever ran before it."""

from __future__ import annotations

from typing import Any

import highspy

_Highs: Any = highspy.Highs  # untyped upstream


class QuietHighs(_Highs):  # type: ignore[misc]
    """A ``highspy.Highs`` whose log is off from the start.

    The constructor enables callbacks, and from version 1.16 on that prints a banner while the log
    is on, as it is by default. So the log must go off inside the constructor;
    ``setOptionValue("output_flag", True)`` brings it back.
    """

    def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS' name; its constructor calls it
        """Switch the log off, then do as HiGHS does."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()

    def run(self) -> Any:
        """Run, also where another user of HiGHS in this thread took another number of threads.

        HiGHS refuses with an error then, until that scheduler is gone. (``solve`` does not come
        this way; the engine calls it in a thread of its own, which has no scheduler yet.)
        """
        status = super().run()
        if status == highspy.HighsStatus.kError:
            _Highs.resetGlobalScheduler(True)
            status = super().run()
        return status

    def limit(self, seconds: float) -> None:
        """Stop the next run after so long; HiGHS counts the time of all runs of one instance."""
        self.setOptionValue("time_limit", self.getRunTime() + seconds)


def warm_started(model: Any) -> QuietHighs:
    """A solver of one program after the other: on one thread, and each from the last one's basis.

    Presolve, which would forget it, is off.
    """
    solver = QuietHighs()
    for option, value in (("threads", 1), ("presolve", "off")):
        solver.setOptionValue(option, value)
    solver.passModel(model)
    return solver
