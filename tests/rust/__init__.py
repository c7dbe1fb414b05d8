"""Cargo's own tests, and the tools that read all sources: one pytest run is every test there is."""
