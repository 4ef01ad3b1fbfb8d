from .flow import trace as trace
from .sequential import SampleRequest as SampleRequest
from .sequential import with_preview as with_preview
from .viewing import Viewed as Viewed
from .viewing import view_inputs as view_inputs
