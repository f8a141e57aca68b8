"""Chat forms for checkpoints that carry none: Mistral's, Vicuna's and ChatML, as documented.

Written as Jinja templates over a content list, so that the fallback and a checkpoint's own
template are rendered by the same call. Nothing here knows tokens.
"""

from typing import Literal

Form = Literal["mistral", "vicuna", "chatml"]

_CONTENT = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}{% endif %}"
)

FORMS: dict[Form, str] = {
    "mistral": (
        "{% for message in messages %}{% if message['role'] == 'assistant' %}"
        "{{ ' ' }}" + _CONTENT + "{{ '</s>' }}{% elif message['role'] == 'system' %}"
        "{{ '<<SYS>>\n' }}" + _CONTENT + "{{ '\n<</SYS>>\n\n' }}{% else %}"
        "{{ '[INST] ' }}" + _CONTENT + "{{ ' [/INST]' }}{% endif %}{% endfor %}"
    ),
    "vicuna": (
        "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'USER: ' }}"
        "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' }}{% endif %}"
        + _CONTENT
        + "{{ ' ' if message['role'] != 'assistant' else '</s>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        + _CONTENT
        + "{{ '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
}


def fallback_form(text_model: str, special_tokens: set[str]) -> Form:
    """The form that fits a text model's type and the special tokens its tokenizer knows."""
    if "<|im_start|>" in special_tokens:
        return "chatml"
    return "mistral" if text_model == "mistral" else "vicuna"
