"""How commands reach a running pylb: HTTP over a unix socket that only its user may open.

`address` says where the socket is, `claim` takes the place (or a place beside it), `server` answers,
`routes` says what, `client` asks. The protocol is plain HTTP/1.1 with JSON, so `curl --unix-socket` works
too:

    GET /status      what `Core.status` reports, with the last health check of each backend
    POST /reload     reads the configuration again; answers when it is in force, or with every mistake
"""
