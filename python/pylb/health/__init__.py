"""Active checks: is this backend fit to serve?

`probe` asks one question and says what came back. `threshold` decides, purely, when answers add up to a
change. `checker` keeps one task per backend that has a check, writes the outcome into the core, and tells
it as a fact. No request ever waits for any of it: the core reads one word per pick.
"""
