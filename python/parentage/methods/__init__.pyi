from .mergekit import for_mergekit as for_mergekit
from .mergekit import to_yaml as to_yaml
from .mergekit import with_filters as with_filters
from .reading import from_json as from_json
from .reading import open_recipe as open_recipe
from .registry import METHODS as METHODS
from .registry import to_mergekit as to_mergekit
