from .adapters import with_adapters as with_adapters
from .adapters import with_strengths as with_strengths
from .flow import trace as trace
from .rest import compare_rest as compare_rest
from .rest import undecoded as undecoded
from .sequential import NETWORK_SAMPLE as NETWORK_SAMPLE
from .viewing import Viewed as Viewed
from .viewing import view_inputs as view_inputs
