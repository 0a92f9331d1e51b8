"""The window's parts: each draws one thing of the design, with the tokens' measures."""
