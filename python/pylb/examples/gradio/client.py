"""Counts to three in one session, through pylb: `python client.py [URL]`."""

import sys

from gradio_client import Client

client = Client(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080", verbose=False)
for _ in range(3):
    sys.stdout.write(f"{client.predict(api_name='/count')}\n")
