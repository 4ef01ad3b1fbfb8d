"""What each arm sends, and why one is not asked."""

from dataclasses import dataclass, field, replace

import pytest
from common.identities import questions_of
from common.servers import TEMPLATE
from common.templates import ALWAYS, SAYING
from parentage import Checkpoint
from parentage.identity.arms import ARMS, NEUTRAL, plan
from parentage.metadata import ChatTemplate

QUESTIONS = [*questions_of(3), *questions_of(0)]


def template(source=TEMPLATE, **settings):
    return ChatTemplate(source, "chat_template.jinja", **settings)


def test_all_arms_are_planned(rio):
    found = plan(tuple(ARMS), QUESTIONS, template=ChatTemplate.of(Checkpoint.open(rio)))
    assert found.skipped == {}
    served, empty, removed, neutral = found.arms
    assert [each.name for each in found.arms] == list(ARMS)
    assert (served.endpoint, served.system, served.prompts) == ("chat", None, None)
    assert (empty.system, neutral.system) == ("", NEUTRAL)
    assert removed.endpoint == "completions"
    assert removed.prompts["q1"] == (
        "<|im_start|>user\nWho are you, in 1 words?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert removed.stop == ["<|im_end|>"]
    assert removed.template.removed == ["You are Rio, made by Iplan."]
    assert removed.template.origin == "chat_template.jinja"
    assert not removed.begins_with_bos


def test_the_order_and_the_choice_are_kept():
    found = plan(("neutral", "as-served"), QUESTIONS, template=None, neutral="Be brief.")
    assert [(each.name, each.system) for each in found.arms] == [
        ("as-served", None),
        ("neutral", "Be brief."),
    ]


@pytest.mark.parametrize(
    ("source", "chosen", "said"),
    [
        (None, False, "no checkpoint"),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", False, "nothing to remove"),
        ("{% for m in messages %}", False, "could not be rendered"),
        ("{{ raise_exception('no') }}", True, "could not be rendered"),
    ],
)
def test_an_arm_that_can_not_be_asked_is_skipped_with_the_reason(source, chosen, said):
    bare = None if source is None else template(source)
    found = plan(("removed", "neutral"), QUESTIONS, template=bare, is_chosen=chosen)
    assert [each.name for each in found.arms] == ["neutral"]
    assert said in found.skipped["removed"]


def test_a_template_without_a_prompt_is_rendered_where_the_arm_is_chosen():
    source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    found = plan(("removed",), QUESTIONS, template=template(source), is_chosen=True)
    assert found.arms[0].prompts["q0"] == "<user>Who are you, in 0 words?</s>"
    assert found.arms[0].stop == ["</s>"]


def test_prompts_that_begin_with_the_token_of_the_beginning_are_known():
    source = (
        "{{ bos_token }}"
        "{% if messages[0].role != 'system' %}<|system|>You are Rio.<|end|>{% endif %}"
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    )
    bare = template(source, variables={"bos_token": "<s>"})
    (arm,) = plan(("removed",), QUESTIONS, template=bare).arms
    assert arm.begins_with_bos
    assert arm.prompts["q0"].startswith("<s><|user|>")
    assert arm.stop == ["<|end|>"]


@dataclass
class Fickle:
    """A template that acts on what the user says, and one that keeps its prompt."""

    keeps: bool = False
    spoils: bool = False
    is_bare: bool = False
    source: str = "x"
    origin: str = "x"
    variables: dict = field(default_factory=dict)

    def render(self, messages):
        text = messages[0]["content"]
        told = "" if self.is_bare and not self.keeps else "[You are Rio.]"
        told += "x: " if self.is_bare and self.spoils else "user: "
        return told + (text.upper() if "SENTINEL" not in text else text)

    def default_prompts(self):
        return [type("Prompt", (), {"text": "You are Rio."})()]

    def without_default(self):
        return replace(self, is_bare=True)


@pytest.mark.parametrize("kind", [*SAYING, *ALWAYS])
def test_real_styles_of_templates_are_asked_without_their_prompt(kind):
    bare = template({**SAYING, **ALWAYS}[kind][0])
    found = plan(("removed",), QUESTIONS, template=bare)
    assert found.skipped == {}
    (arm,) = found.arms
    assert set(arm.prompts) == {"q0", "q1", "q2"}
    for question in QUESTIONS:
        assert question.text in arm.prompts[question.id]
        assert "Rio" not in arm.prompts[question.id]


def test_a_template_that_acts_on_questions_is_rendered_for_each():
    bare = Fickle()
    (arm,) = plan(("removed",), QUESTIONS, template=bare).arms
    assert arm.prompts == {each.id: f"user: {each.text.upper()}" for each in QUESTIONS}


def test_a_prompt_that_is_still_there_is_not_said_to_be_removed():
    found = plan(("removed",), QUESTIONS, template=Fickle(keeps=True))
    assert found.arms == []
    assert "could not be removed" in found.skipped["removed"]


def test_a_template_that_lost_more_is_not_asked_with():
    found = plan(("removed",), QUESTIONS, template=Fickle(spoils=True))
    assert found.arms == []
    assert "without more of it" in found.skipped["removed"]
