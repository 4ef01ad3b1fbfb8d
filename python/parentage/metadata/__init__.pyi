from .chat_template import ChatTemplate as ChatTemplate
from .chat_template import DefaultPrompt as DefaultPrompt
from .rendering import TemplateError as TemplateError
