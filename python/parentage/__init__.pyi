from .checkpoint import Checkpoint as Checkpoint
from .evidence import Trace as Trace
from .identity import Identity as Identity
from .identity import IdentityError as IdentityError
from .identity import identify as identify
from .metadata import compare_metadata as compare_metadata
from .pipeline import trace as trace
from .replay import Recipe as Recipe
from .report import write_figures as write_figures
from .report import write_report as write_report
from .stream import Progress as Progress
from .support import CheckpointError as CheckpointError
from .support import EvidenceError as EvidenceError
from .support import JournalError as JournalError
from .support import ParentageError as ParentageError
from .support import PlanError as PlanError
from .support import ReadError as ReadError
from .support import RecipeError as RecipeError
from .support import ReportError as ReportError
from .support import WriteError as WriteError
from .verdict import Verdict as Verdict

__version__: str
