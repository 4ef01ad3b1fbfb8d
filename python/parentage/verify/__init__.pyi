from .finding import FAILED as FAILED
from .finding import OK as OK
from .finding import UNCHECKED as UNCHECKED
from .finding import Finding as Finding
from .finding import Verification as Verification
from .locate import placed as placed
from .verifying import DRAWN as DRAWN
from .verifying import verify as verify
