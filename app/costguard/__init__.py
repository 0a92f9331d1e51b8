"""Metering of energy, wear and money."""
