"""Settings of recipes."""

SETTINGS = {
    "number": 0.25,
    "whole": 1,
    "gradient": {"gradient": [0.1, 0.5, 0.9]},
    "components": {"components": {"mlp": 0.5, "norm": 1.0}},
    "slices": {"slices": {"model.layers.0.mlp.up_proj.weight": 0.125}},
    "nothing": None,
}
"""One of every kind that a parameter may be."""
