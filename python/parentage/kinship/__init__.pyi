from .comparing import Comparison as Comparison
from .comparing import compare as compare
from .pairwise import Pair as Pair
from .pairwise import pair_of as pair_of
from .searching import search as search
