from .checkpoint import Checkpoint as Checkpoint
from .checkpoint import Network as Network
from .evidence import Trace as Trace
from .pipeline import trace as trace
from .replay import Recipe as Recipe
from .stream import Progress as Progress
from .support import CheckpointError as CheckpointError
from .support import JournalError as JournalError
from .support import ParentageError as ParentageError
from .support import PlanError as PlanError
from .support import ReadError as ReadError
from .support import RecipeError as RecipeError
from .support import WriteError as WriteError
from .verdict import Verdict as Verdict

__version__: str
