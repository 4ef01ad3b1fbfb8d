from .journal import MAGIC as MAGIC
from .journal import NAME as NAME
from .journal import Journal as Journal
from .journal import differs as differs
from .journal import identity as identity
from .trace import Trace as Trace
from .trace import report as report
