"""A Gradio app that counts in its session, and shows which process keeps it: `python app.py PORT`."""

import os
import sys

import gradio


def count(clicks: int) -> tuple[str, int]:
    """The text to show, and the session's new state."""
    return f"process {os.getpid()}, {clicks + 1} clicks in this session", clicks + 1


with gradio.Blocks(title="Which process is this?") as app:
    clicks, text = gradio.State(0), gradio.Textbox(label="answer")
    gradio.Button("Count").click(count, [clicks], [text, clicks], api_name="count")

if __name__ == "__main__":
    app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
