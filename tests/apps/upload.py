"""A Streamlit app with a file upload; the page shows what came and which process has it."""

import os

import streamlit

file = streamlit.file_uploader("a file")
streamlit.text("nothing yet" if file is None else f"{len(file.getvalue())} {os.getpid()}")
