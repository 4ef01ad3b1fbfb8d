"""What stands in another order in a checkpoint than in the child: found by values."""
