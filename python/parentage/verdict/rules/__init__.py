"""The rules, by what they decide."""
