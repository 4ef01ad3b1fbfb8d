from .change import Change as Change
from .describe import describe_change as describe_change
from .names import compress as compress
from .pair import cast as cast
from .pair import every as every
from .pair import units as units
from .read import changes_of as changes_of
from .summary import summarise as summarise
