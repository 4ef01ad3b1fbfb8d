"""Layout rules, one file each: where a tensor of the child lies in another checkpoint."""
