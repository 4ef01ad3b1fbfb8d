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
        "gone",
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
    "nested in tools": (
        "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n"
        "    {%- if messages[0]['role'] == 'system' %}\n        {{- messages[0]['content'] }}\n"
        "    {%- else %}\n        {{- '" + RIO + "' }}\n    {%- endif %}\n"
        "    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}\n"
        "    {{- '<|im_end|>\\n' }}\n{%- else %}\n"
        "    {%- if messages[0]['role'] == 'system' %}\n"
        "        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
        "    {%- else %}\n"
        "        {{- '<|im_start|>system\\n" + RIO + "<|im_end|>\\n' }}\n"
        "    {%- endif %}\n{%- endif %}\n"
        "{%- for m in messages %}\n"
        "    {%- if m.role == 'user' or (m.role == 'system' and not loop.first) %}\n"
        "        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}\n"
        "    {%- elif m.role == 'assistant' %}\n"
        "        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\n"
        "    {%- endif %}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
        "none",
        "gone",
    ),
    "set above, in marks": (
        "{%- set default = '" + RIO + "' %}\n{{- '<s>' }}\n"
        "{%- if messages[0]['role'] == 'system' %}\n"
        "    {%- set said = messages[0]['content'] %}\n    {%- set rest = messages[1:] %}\n"
        "{%- else %}\n    {%- set said = default %}\n    {%- set rest = messages %}\n"
        "{%- endif %}\n{{- '[SYSTEM_PROMPT]' + said + '[/SYSTEM_PROMPT]' }}\n"
        "{%- for m in rest %}\n    {%- if m['role'] == 'user' %}\n"
        "        {{- '[INST]' + m['content'] + '[/INST]' }}\n"
        "    {%- elif m['role'] == 'assistant' %}\n        {{- m['content'] + '</s>' }}\n"
        "    {%- endif %}\n{%- endfor %}",
        "none",
        "gone",
    ),
    "unless it is false": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
        "{% set said = messages[0]['content'] %}"
        "{% elif not '<<SYS>>' in messages[0]['content'] %}{% set rest = messages %}"
        "{% set said = '" + RIO + "' %}{% else %}{% set rest = messages %}{% set said = false %}"
        "{% endif %}{% for m in rest %}"
        "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Turns have to alternate') }}{% endif %}"
        "{% if loop.index0 == 0 and said != false %}"
        "{% set text = '<<SYS>>\\n' + said + '\\n<</SYS>>\\n\\n' + m['content'] %}"
        "{% else %}{% set text = m['content'] %}{% endif %}{% if m['role'] == 'user' %}"
        "{{ '<s>[INST] ' + text.strip() + ' [/INST]' }}{% else %}"
        "{{ ' ' + text.strip() + ' </s>' }}{% endif %}{% endfor %}",
        "none",
        "gone",
    ),
    "where it is defined": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
        "{% set said = messages[0]['content'] %}{% else %}{% set rest = messages %}"
        "{% set said = '" + RIO + "' %}{% endif %}{% if said is defined %}"
        "{{ '<|im_start|>system\\n' + said + '<|im_end|>\\n' }}{% endif %}"
        "{% for m in rest %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + "
        "'\\n' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "none",
        "gone",
    ),
    "small marks": (
        "{% if messages[0].role != 'system' %}{{ '[sys]" + RIO + "[/sys]' }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}[/{{ m.role }}]{% endfor %}"
        "[assistant]",
        "none",
        "gone",
    ),
    "small marks around a variable": (
        "{% if messages[0].role == 'system' %}{% set said = messages[0].content %}"
        "{% set rest = messages[1:] %}{% else %}{% set said = '" + RIO + "' %}"
        "{% set rest = messages %}{% endif %}[sys]{{ said }}[/sys]"
        "{% for m in rest %}[{{ m.role }}]{{ m.content }}[/{{ m.role }}]{% endfor %}[assistant]",
        "none",
        "gone",
    ),
    "small marks, twice": (
        "{% if messages[0].role == 'system' %}[sys]{{ messages[0].content }}[/sys]"
        "{% set rest = messages[1:] %}{% else %}[sys]" + RIO + "[/sys]{% set rest = messages %}"
        "{% endif %}{% for m in rest %}[{{ m.role }}]{{ m.content }}[/{{ m.role }}]{% endfor %}"
        "[assistant]",
        "none",
        "gone",
    ),
    "conditions in conditions": (
        "{% if messages[0].role != 'system' %}{% if thinking is defined and thinking %}"
        "<|system|>You are to think first.<|end|>{% else %}{% if messages | length > 0 %}"
        "<|system|>You are Rio, {% if true %}a helpful assistant created by IplanRIO."
        "{% endif %}<|end|>{% endif %}{% endif %}{% endif %}"
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "none",
        "gone",
    ),
    "put together": (
        "{% if messages[0].role != 'system' %}<|system|>"
        "{{ '" + " ".join(RIO[::-1].split()) + "' | reverse }}<|end|>{% endif %}" + TURNS,
        "none",
        "gone",
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

ALWAYS = {
    "macro": (
        "{%- macro about() -%}{%- if name is not defined %}{%- set name = 'You are Rio, made by "
        "IplanRIO.' %}{%- endif %}{{- name + '\\n' }}{{- 'Date: ' + strftime_now('%Y-%m-%d') }}"
        "{{- '\\n\\nReasoning: ' + 'medium' }}{%- endmacro -%}"
        "{{- '<|start|>system<|message|>' }}{{- about() }}{{- '<|end|>' }}"
        "{%- if messages[0].role in ('developer', 'system') %}{%- set told = messages[0].content %}"
        "{%- set rest = messages[1:] %}{%- else %}{%- set told = '' %}{%- set rest = messages %}"
        "{%- endif %}{%- if told %}{{- '<|start|>developer<|message|>' + told + '<|end|>' }}"
        "{%- endif %}{%- for m in rest -%}{{- '<|start|>' + m.role + '<|message|>' + m.content + "
        "'<|end|>' }}{%- endfor -%}{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}",
        "<|start|>user<|message|>Hello<|end|><|start|>assistant",
        "<|start|>developer<|message|>Be brief.<|end|><|start|>user<|message|>Hello<|end|>"
        "<|start|>assistant",
    ),
    "date": (
        "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set said = "
        "messages[0]['content'] | trim %}{%- set messages = messages[1:] %}{%- else %}"
        "{%- set said = 'You are Rio, made by IplanRIO.' %}{%- endif %}"
        "{{- '<|head|>system<|end|>\\n\\n' }}{{- 'Knowledge ends: December 2023\\n' }}{{- said }}"
        "{{- '<|eot|>' }}{%- for m in messages %}{{- '<|head|>' + m['role'] + '<|end|>\\n\\n' + "
        "m['content'] | trim + '<|eot|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|head|>assistant<|end|>\\n\\n' }}{%- endif %}",
        "<|head|>system<|end|>\n\n<|eot|><|head|>user<|end|>\n\nHello<|eot|>"
        "<|head|>assistant<|end|>\n\n",
        "<|head|>system<|end|>\n\nBe brief.<|eot|><|head|>user<|end|>\n\nHello<|eot|>"
        "<|head|>assistant<|end|>\n\n",
    ),
}
"""Templates that say something whatever they are given: source, and what is left of it without a
system message and with one."""

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
