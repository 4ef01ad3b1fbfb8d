from .flow import trace as trace
from .viewing import Viewed as Viewed
from .viewing import view_inputs as view_inputs
