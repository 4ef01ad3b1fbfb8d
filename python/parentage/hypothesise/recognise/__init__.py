"""How a sample betrays each method, one file each."""
