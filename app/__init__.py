"""NeuroWeaver without a window: everything the window, the command line and HTTP do."""
