from .degrees import RELATIONS as RELATIONS
from .degrees import Degrees as Degrees
from .degrees import degree_of as degree_of
from .finding import Candidates as Candidates
from .finding import find as find
from .found import Found as Found
from .found import summary as summary
