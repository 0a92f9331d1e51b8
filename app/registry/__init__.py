"""Model versions, export and release."""
