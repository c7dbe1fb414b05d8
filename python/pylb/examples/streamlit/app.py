"""A Streamlit app that shows which process keeps the session, and takes a file there."""

import os

import streamlit

state = streamlit.session_state
state.setdefault("clicks", 0)
streamlit.title("Which process is this?")
if streamlit.button("Count"):
    state.clicks += 1
streamlit.text(f"process {os.getpid()}, {state.clicks} clicks in this session")

file = streamlit.file_uploader("A file, which goes to the same process by a request of its own")
if file is not None:
    streamlit.text(f"{file.name} has {len(file.getvalue())} bytes")
