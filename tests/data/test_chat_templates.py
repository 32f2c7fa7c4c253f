"""Chat templates give the texts that transformers gives, and cannot hang."""

import json
from pathlib import Path

import pytest

from harness.api.errors import UserError
from harness.data.templates.chat import ChatRefused, chat_template

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
MISTRAL = """{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}
{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}
"""
QWEN_3 = """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<t>')) %}
        {%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- generation %}{{- '<|im_start|>' + message.role + '\n' + message.content.split('</think>')[-1].lstrip('\n') }}
        {%- endgeneration %}{{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}"""
MACROS = """{% macro shown(value, depth=0) %}{% if value is mapping %}{% for key, one in value | dictsort %}
{{ '  ' * depth ~ key }}: {{ shown(one, depth + 1) }}{% endfor %}{% else %}{{ value | tojson }}{% endif %}{% endmacro %}
{% for message in messages %}{{ shown(message) }}{{ dict(a=1) | tojson }}{{ '%s-%d' % ('x', loop.index) }}{% endfor %}
{{ messages | map(attribute='role') | join(', ') }} {{ tools is none }} {{ missing }}"""
TALK = [
    {"role": "user", "content": '  Größe 10\nund "mehr" '},
    {"role": "assistant", "content": "<think>hm</think>\nja"},
    {"role": "user", "content": "und 漢字?"},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
MORE = {"date_string": "26 Jul 2024", "enable_thinking": False}


def theirs(source: str, messages: list[dict[str, str]], answer: bool) -> str:
    """What transformers makes of it."""
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template([messages], chat_template=source, add_generation_prompt=answer, **SPECIAL, **MORE)
    return texts[0]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("source", [CHATML, LLAMA_3, MISTRAL, QWEN_3, MACROS])
def test_a_chat_template_gives_the_text_that_transformers_gives(source: str, answer: bool) -> None:
    ours = chat_template(source, special_tokens=SPECIAL, where="here")
    for messages in (TALK, TALK[:1], [{"role": "system", "content": " be kind "}, *TALK] if source is not MISTRAL else TALK[:1]):
        assert ours(messages, add_generation_prompt=answer, **MORE) == theirs(source, messages, answer)


@pytest.mark.real
def test_the_chat_templates_of_real_models_give_the_text_that_transformers_gives(real_models: Path) -> None:
    found = 0
    for folder in sorted(real_models.iterdir()):
        for path in (*folder.glob("chat_template.jinja"), *folder.glob("tokenizer_config.json")):
            text = path.read_text(encoding="utf-8")
            source = text if path.suffix == ".jinja" else json.loads(text).get("chat_template")
            for answer in (True, False) if source else ():
                found += 1
                ours = chat_template(source, special_tokens=SPECIAL, where=str(path))
                assert ours(TALK, add_generation_prompt=answer, **MORE) == theirs(source, TALK, answer)
    assert found


def test_a_template_that_refuses_says_so_in_its_own_words() -> None:
    write = chat_template(MISTRAL, special_tokens=SPECIAL, where="models/x")
    with pytest.raises(ChatRefused, match="must alternate"):
        write(TALK[1:], add_generation_prompt=True)


DOUBLED = "{%% set ns = namespace(x=%s) %%}{%% for i in range(60) %%}{%% set ns.x = %s %%}{%% endfor %%}{{ ns.x|tojson }}"
LOOPS = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "macros that call themselves": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "repetition": "{{ messages[0].content * 10**9 }}",
    "a text that doubles": DOUBLED % ("messages[0].content", "ns.x ~ ns.x"),
    "lists in lists": DOUBLED % ("[1]", "[ns.x, ns.x]"),
    "an indent": "{{ messages | tojson(indent=10**9) }}",
}


@pytest.mark.parametrize("name", sorted(LOOPS))
def test_a_chat_template_that_loops_is_a_mistake_of_the_model(name: str) -> None:
    write = chat_template(LOOPS[name], special_tokens=SPECIAL, where="models/x")
    with pytest.raises(UserError, match="models/x: the chat template does more than a template may"):
        write(TALK, add_generation_prompt=True)


def test_what_is_no_template_is_a_mistake_of_the_model() -> None:
    with pytest.raises(UserError, match="models/x: the chat template is not Jinja2"):
        chat_template("{% for %}", special_tokens=SPECIAL, where="models/x")
