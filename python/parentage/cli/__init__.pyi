from .app import cli as cli
from .app import run as run
from .start import main as main
from .terminal.bench import show_bench as show_bench
from .terminal.console import Terminal as Terminal
from .terminal.inspect import show_inspect as show_inspect
from .terminal.replay import show_replay as show_replay
from .terminal.trace import show_trace as show_trace
