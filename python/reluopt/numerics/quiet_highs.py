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
