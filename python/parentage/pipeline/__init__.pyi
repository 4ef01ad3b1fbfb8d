from .flow import Path as Path
from .flow import trace as trace
from .sequential import SampleRequest as SampleRequest
from .sequential import TraceInputs as TraceInputs
from .sequential import with_preview as with_preview
