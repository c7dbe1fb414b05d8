"""When do answers add up to a change of mind? Rise and fall, as a pure function.

A backend that was never asked is *unknown*. The core uses those while nothing better is there, so a start
is optimistic. Its first good answer brings it up; `fall` failures in a row take it down. From then on one
answer that contradicts what is believed starts a streak, a streak of `rise` or `fall` turns the belief, and
one answer that confirms it ends the streak.

         good                      fall x bad
    unknown -------> up  --------------------------> down
       |              ^                               | ^
       |              +----------- rise x good -------+ |
       +------------------- fall x bad -----------------+
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What is believed of a backend, and how many answers in a row speak against it."""

    up: bool | None = None
    streak: int = 0

    @property
    def is_changing(self) -> bool:
        """Whether the next answer may turn the belief, so that it should come soon."""
        return self.up is None or self.streak > 0


def after(standing: Standing, good: bool, *, rise: int, fall: int) -> Standing:
    """The standing after one more answer."""
    if standing.up is good:
        return Standing(good)
    streak = standing.streak + 1 if not (standing.up is None and good) else rise
    return Standing(good) if streak >= (rise if good else fall) else Standing(standing.up, streak)
