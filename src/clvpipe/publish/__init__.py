"""Where everything lies, and how a version comes to be: staged, verified, swapped."""

from clvpipe.publish.layout import Layout

__all__ = ["Layout"]
