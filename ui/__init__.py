"""The window: Qt only, no business logic."""
