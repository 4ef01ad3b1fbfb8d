from .flow import trace as trace
