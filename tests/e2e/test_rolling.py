"""Servers are restarted one after the other, without health checks and faster than an ejection lasts."""

from .balancer import site
from .load import Load
from .test_outage import is_whole


def test_a_rolling_kill_9_without_health_checks(serve, apps):
    """A second server may not be ejected beside the first: its requests are served elsewhere all the same."""
    three = apps("uvicorn", 3)
    balancer = serve(site([app.address for app in three]))
    load = Load(balancer.address(), connections=16, check=is_whole).start()
    for app in three[:2]:
        load.wait_for_more(600)
        app.kill()
        load.wait_for_more(2_000)
        app.start()
        app.wait_until_ready()
    load.wait_for_more(600)
    load.stop()
    assert set(load.outcomes) <= {"ok", "cut"}, load
