"""Counts to three in one session, through pylb: `python client.py [URL]`.

It begins with long-polling and goes on by WebSocket, as browsers do.
"""

import sys

import socketio

client = socketio.Client(reconnection=False)
client.connect(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
for _ in range(3):
    sys.stdout.write(f"{client.call('count')}, by {client.transport()}\n")
client.disconnect()
