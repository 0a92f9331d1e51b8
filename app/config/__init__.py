"""Documents and contracts: workflow and kit documents, the node contract, artifacts."""
