"""How operators reach a running pylb: HTTP over a unix socket that only its user may open, or over TCP with a
token.

`address` says where, `claim` takes the place of the socket (or a place beside it), `server` speaks HTTP,
`routing` finds who answers, `routes` says what, `client` asks. The protocol is plain HTTP/1.1 with JSON, so
`curl --unix-socket` works too; `openapi.json` describes it, and GET /openapi.json returns that file.
"""
