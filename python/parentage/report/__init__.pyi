from .parts import ReportParts as ReportParts
from .pictures import FORMATS as FORMATS
from .pictures import write_figures as write_figures
from .render import render_report as render_report
from .stored import read_parts as read_parts
from .write import REPORT as REPORT
from .write import write_report as write_report
