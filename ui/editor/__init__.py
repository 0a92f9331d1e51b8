"""The text view of a workflow: the field itself and what stands around it."""
