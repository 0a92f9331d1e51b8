"""Data refinery: import, refine, split, export."""
