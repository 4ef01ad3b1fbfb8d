from .checkpoint import Checkpoint as Checkpoint
from .evidence import Trace as Trace
from .kinship import Comparison as Comparison
from .kinship import compare as compare
from .kinship import search as search
from .library import Library as Library
from .library import capture as capture
from .library import sketch as sketch
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
