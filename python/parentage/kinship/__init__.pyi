from .compare import Comparison as Comparison
from .compare import compare as compare
from .degrees import RELATIONS as RELATIONS
from .degrees import Degrees as Degrees
from .degrees import degree_of as degree_of
from .pairwise import Pair as Pair
from .pairwise import pair_of as pair_of
