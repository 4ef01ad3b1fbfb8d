"""Checkpoints are compared under the child's names, and adapters as what they make of a base."""

import numpy as np
from common.adapters import *  # noqa: F403
