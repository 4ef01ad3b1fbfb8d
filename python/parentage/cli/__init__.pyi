from .app import cli as cli
from .app import main as main
from .app import run as run
from .terminal import Terminal as Terminal
