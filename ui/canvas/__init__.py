"""The workflow canvas: a document's picture that can be changed; every change is a change of the document's text."""
