from .flow import trace as trace
from .sequential import NETWORK_SAMPLE as NETWORK_SAMPLE
from .sequential import SampleRequest as SampleRequest
from .sequential import with_preview as with_preview
