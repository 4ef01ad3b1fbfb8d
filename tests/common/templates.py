"""Chat templates of the kinds that models have, and of kinds that nobody should have."""

RIO = "You are Rio, a helpful assistant created by IplanRIO."

TURNS = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""ChatML, which says nothing by itself."""

SILENT = {
    "chatml": TURNS,
    "instruct": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'system' %}"
        "{{ '[SYSTEM_PROMPT] ' + m['content'] + '[/SYSTEM_PROMPT]' }}{% else %}"
        "{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
    "no system": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}{{ '<start_of_turn>' + m.role + '\\n' + m.content | trim"
        " + '<end_of_turn>\\n' }}{% endfor %}{{ '<start_of_turn>model\\n' }}"
    ),
    "headings": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content + '\\n\\n' }}"
        "{% elif m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n"
        "{% else %}### Response:\n{{ m.content }}\n\n{% endif %}{% endfor %}### Response:\n"
    ),
    "as JSON": "{{ messages | tojson }}",
    "in parts": (
        "{% for m in messages %}<|{{ m.role }}|>{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    ),
    "tools": (
        "{% if tools %}{{ 'You can call functions, and you are asked to be brief.' }}"
        "{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}" + TURNS
    ),
    "generation": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}"
    ),
}
"""Templates that tell the model nothing by themselves."""

SAYING = {
    "branch": (
        "{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\n"
        + RIO
        + "<|im_end|>\\n' }}"
        "{%- endif %}" + TURNS,
        "none",
        "gone",
    ),
    "else": (
        "{%- if messages[0].role == 'system' %}"
        "{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}"
        "{%- else %}{{ '<|im_start|>system\\n" + RIO + "<|im_end|>\\n' }}{%- endif %}"
        "{%- for m in messages %}{%- if m.role != 'system' %}"
        "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}"
        "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}",
        "none",
        "gone",
    ),
    "in the loop": (
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
        "<|im_start|>system\n" + RIO + "<|im_end|>\n{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        "none",
        "gone",
    ),
    "variable": (
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
        "{% set rest = messages[1:] %}{% else %}{% set system = '" + RIO + "' %}"
        "{% set rest = messages %}{% endif %}"
        "{{ '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}"
        "{% for m in rest %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
        "{% endfor %}",
        "none",
        "empty",
    ),
    "within the user's turn": (
        "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}"
        "{% set rest = messages[1:] %}{% else %}{% set s = none %}{% set rest = messages %}"
        "{% endif %}{% for m in rest %}{% if m.role == 'user' %}{% if loop.first %}"
        "{% if s is not none %}{{ '<s>[INST] <<SYS>>\\n' + s + '\\n<</SYS>>\\n\\n' }}"
        "{% else %}{{ '<s>[INST] <<SYS>>\\n" + RIO + "\\n<</SYS>>\\n\\n' }}{% endif %}"
        "{% else %}{{ '<s>[INST] ' }}{% endif %}{{ m.content + ' [/INST]' }}"
        "{% else %}{{ m.content + '</s>' }}{% endif %}{% endfor %}",
        "none",
        "empty",
    ),
    "always": (
        "<|im_start|>system\n" + RIO + "\n"
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n"
        "{% for m in messages if m.role != 'system' %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        "none empty given",
        "empty",
    ),
    "default filter": (
        "{% set s = messages[0].content if messages[0].role == 'system' else none %}"
        "<|system|>{{ s | default('" + RIO + "', true) }}<|end|>"
        "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>"
        "{% endfor %}",
        "none empty",
        "empty",
    ),
    "plain words": (
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
        "{% set rest = messages[1:] %}"
        "{% else %}" + RIO + "{% set rest = messages %}{% endif %}"
        "{% for m in rest %}{% if m.role == 'user' %}{{ ' USER: ' + m.content }}"
        "{% else %}{{ ' ASSISTANT: ' + m.content }}{% endif %}{% endfor %} ASSISTANT:",
        "none",
        "gone",
    ),
    "pieces": (
        "{% set name = 'Rio' %}{% set maker = 'IplanRIO' %}"
        "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are ' + name + "
        "', a helpful assistant created by ' + maker + '.<|im_end|>\\n' }}{% endif %}" + TURNS,
        "none",
        "gone",
    ),
}
"""Templates that say :data:`RIO` by themselves: source, arms, and what is left of the turn."""

HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "writes without end": "{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}",
    "one long text": "{{ 'x' * 10 ** 10 }}",
    "a long number": "{{ 10 ** (10 ** 9) }}",
    "calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "attributes": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "format": "{{ '{0.__class__}'.format(messages) }}{{ cycler.__init__.__globals__.os }}",
    "files": "{% include '/etc/passwd' %}",
    "changes": "{{ messages.append('x') }}",
    "syntax": "{% if %}",
    "unknown tag": "{% frobnicate %}",
    "nested": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep ifs": "{% if a %}" * 3000 + "{% endif %}" * 3000,
    "attribute of a number": "{{ messages.foo.bar }}",
}
"""Templates that loop, reach for what they should not, or are none."""
