"""What tests share: families, merges and traces, and how results are compared."""
