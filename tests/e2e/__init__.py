"""pylb as its users run it: a real process, real sockets, and both ends of every conversation in our hands.

The helpers read like the things they stand for: `balancer` is pylb, `origin` a backend that does as it is
told, `talk` a client that says exact bytes, `load` clients that never retry, `apps` real Python servers.
Nothing sleeps to let something else happen: `patience` waits for a condition, with a deadline. No port is
fixed.
"""
