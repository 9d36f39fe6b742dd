"""The browser app: server, marker and worker processes, and the page (docs/app-design.md).

The server imports nothing that decodes media or computes: no torch, PyAV, OpenCV or numpy. Only the
modules in `processes` do, which run as processes of their own.
"""
