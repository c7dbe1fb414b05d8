"""A Gradio app that takes a file and remembers, per session, how many it has got.

Run as `python table.py PORT`. Files and sessions live in the process that was asked first.
"""

import os
import sys
from pathlib import Path

import gradio


def weigh(file: str, seen: int) -> tuple[str, int]:
    """Size of the file, its number in this session, and the process that answers."""
    return f"{Path(file).stat().st_size} {seen + 1} {os.getpid()}", seen + 1


with gradio.Blocks() as app:
    file, seen, weight = gradio.File(), gradio.State(0), gradio.Textbox()
    gradio.Button("weigh").click(weigh, [file, seen], [weight, seen], api_name="weigh")

if __name__ == "__main__":
    app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
