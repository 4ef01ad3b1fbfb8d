from .change import Change as Change
from .describe import describe_change as describe_change
from .names import compress as compress
from .pair import cast as cast
from .read import changes_of as changes_of
from .summary import summarise as summarise
