"""What all Jupyter servers behind pylb share. Jupyter reads this file from the directory it is started in."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821

# One login for all: a browser that has to move to another server is still known there. The token is that of
# the environment variable JUPYTER_TOKEN.
c.ServerApp.cookie_secret_file = "cookie.secret"

# Another port than the one that pylb knows would help nobody.
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False

# On a site with a name of its own:
# c.ServerApp.allow_remote_access = True
