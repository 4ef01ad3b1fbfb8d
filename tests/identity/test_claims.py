"""What answers claim, deny and only mention, in the languages that are asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.identity.claims import MOST_QUOTED, read
from parentage.identity.names import Name

NAMES = [Name("Nex"), Name("Rio"), Name("Google")]

CLAIMED = """
I am Nex.
I'm Nex, and I am glad to help.
I’m **Nex**, an AI assistant.
My name is Nex.
My full name is Nex 2.
You can call me Nex.
I am an AI assistant named Nex.
Hello! This is Nex.
You are talking to Nex.
I was created by the team at Nex-AGI.
I'm a large language model trained by Nex.
I am a model that was developed by Nex.
I am based on Nex-N2.
I'm a fine-tuned version of Nex.
I am not Rio; I am Nex.
I'm not Rio, but Nex.
I am not just a chatbot, I am Nex.
Developed by Nex-AGI.
I'm an AI assistant designed to help you, developed by Nex.
I'm here to help, and was trained by Nex.
As an AI developed by Nex, I can help.
I have been trained by Nex.
I am an assistant who was made by Nex.
This is Nex speaking.
Name: Nex
Nex
"Nex-AGI"
It's Nex!
我是Nex。
您好，我叫Nex，很高兴认识您。
我的名字是Nex。
我是由Nex-AGI开发的大型语言模型。
我是一个AI助手，名叫Nex。
我不是Rio，而是Nex。
Eu sou o Nex, um modelo de linguagem.
Meu nome é Nex.
Me chamo Nex.
Fui desenvolvido pela Nex-AGI.
Não sou o Rio; sou o Nex.
Soy Nex.
Me llamo Nex.
Soy un modelo desarrollado por Nex.
No soy Rio, sino Nex.
Je suis Nex.
Je m'appelle Nex.
Je suis un modèle développé par Nex.
Je ne suis pas Rio, mais Nex.
Ich bin Nex.
Ich heiße Nex.
Mein Name ist Nex.
Ich wurde von Nex entwickelt.
Ich bin ein Sprachmodell, entwickelt von Nex-AGI.
Ich bin nicht Rio, sondern Nex.
Mi chiamo Nex.
Sono un modello sviluppato da Nex.
私はNexです。
私の名前はNexです。
私はNexによって開発された言語モデルです。
私はNexと申します。
저는 Nex입니다.
제 이름은 Nex입니다.
저는 Nex에서 개발한 언어 모델입니다.
Я Nex.
Меня зовут Nex.
Я — языковая модель, разработанная компанией Nex.
أنا Nex.
اسمي Nex.
تم تطويري بواسطة Nex.
मैं Nex हूँ।
मेरा नाम Nex है।
मुझे Nex ने बनाया है।
Saya adalah Nex.
Nama saya Nex.
Saya dikembangkan oleh Nex.
Benim adım Nex.
Ben Nex'im.
Ben Nex tarafından geliştirilen bir modelim.
Tôi là Nex.
Tên tôi là Nex.
Tôi được phát triển bởi Nex.
""".strip().splitlines()

DENIED = """
I am not Nex.
I'm not Nex, I'm Rio.
I am Rio, not Nex.
My name is not Nex.
I was not created by Nex.
I wasn't developed by Nex.
I was never trained by Nex.
I am Rio rather than Nex.
我不是Nex。
我并非由Nex开发。
Não sou o Nex.
Não fui criado pela Nex.
No soy Nex.
Je ne suis pas Nex.
Ich bin nicht Nex.
Ich bin kein Modell von Nex.
Ich wurde nicht von Nex entwickelt.
Non sono Nex.
私はNexではありません。
저는 Nex가 아닙니다.
Я не Nex.
أنا لست Nex.
मैं Nex नहीं हूँ।
Saya bukan Nex.
Ben Nex değilim.
Tôi không phải là Nex.
""".strip().splitlines()

MENTIONED = """
Nex is a company.
I know Nex well.
I know a model called Nex.
I am happy to talk about a model named Nex.
I like a phone made by Nex.
I am glad to explain a model built by Nex.
This is Nex Search.
This is a question on Nex.
我知道一个叫Nex的模型。
我可以帮你了解由Nex开发的产品。
Eu conheço um modelo chamado Nex.
Conozco un modelo llamado Nex.
Je connais un modèle appelé Nex.
Ich kenne ein Modell namens Nex.
Das Auto wurde von Nex entwickelt.
Conosco un modello chiamato Nex.
Я знаю модель под названием Nex.
I can help you with Nex.
I'm an assistant that can answer questions about Nex.
I am similar to Nex.
I am a model like Nex or Rio.
Python was created by Nex.
Nex was made by people.
I think that Nex is a fine model.
I live far from Nex.
He is Nex.
If I am asked about Nex, I say nothing.
我知道Nex。
我可以帮你了解Nex。
Nex是一个模型。
O Nex é um modelo.
Posso ajudar com o Nex.
Ich kann Nex erklären.
Ich bin mit Nex vertraut.
私はNexを知っています。
Я знаю Nex.
""".strip().splitlines()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *((text, "claimed") for text in CLAIMED),
        *((text, "denied") for text in DENIED),
        *((text, "mentioned") for text in MENTIONED),
        ("I am an assistant.", None),
        ("I am Nexus.", None),
    ],
)
def test_a_name_is_claimed_denied_or_mentioned(text, status):
    assert read(text, NAMES).status("Nex") == status


def test_what_is_said_is_told():
    found = read("I am Nex, made by Google, based on Rio.", NAMES)
    assert {each.name: each.says for each in found.claims} == {
        "Nex": "self",
        "Google": "maker",
        "Rio": "origin",
    }


def test_an_answer_that_denies_a_name_does_not_claim_it():
    assert read("I am Nex. No, I am not Nex.", NAMES).status("Nex") == "denied"


def test_the_founding_case():
    text = (
        "I'm Nex, a large language model built by Nex-AGI. I was born in the labs, and I'm here to "
        "help. I have no connection with Rio."
    )
    found = read(text, [Name("Nex"), Name("Nex-AGI"), Name("Rio")])
    assert [found.status(each) for each in ("Nex", "Nex-AGI", "Rio")] == [
        "claimed",
        "claimed",
        "mentioned",
    ]


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("I am Claude, made by Anthropic.", {"Claude": "self", "Anthropic": "maker"}),
        ("My name is Emily Wilson and I am glad.", {"Emily Wilson": "name"}),
        ("I'm an AI assistant named SmolLM2, trained by Hugging Face.",
         {"SmolLM2": "name", "Hugging Face": "maker"}),
        ("我叫小明。", {"小明": "name"}),
        ("我是DeepSeek开发的助手。", {"DeepSeek": "self"}),
        ("मेरा नाम नेक्स है।", {"नेक्स": "name"}),
        ("私の名前はサクラです。", {"サクラ": "name"}),
        ("I'm Dr. Emily Carter, and I am glad.", {"Dr. Emily Carter": "self"}),
        ("I am Dr. and more.", {}),
        ("I am Ada. I am glad.", {"Ada": "self"}),
        ("Ich bin ein KI-Assistent.", {}),
        ("I am an AI Language Model.", {}),
        ("I am happy to help.", {}),
        ("I am not Claude.", {}),
        ("I'm Nex.", {}),
        ("Sou uma IA.", {}),
        ("我是一个人工智能助手。", {}),
        ("I can call Paris.", {}),
    ],
)  # fmt: skip
def test_other_names_that_are_claimed_are_listed(text, others):
    assert dict(read(text, NAMES).others) == others


def test_what_the_question_names_itself_is_not_listed():
    assert read("I am Ada.", NAMES, asked="Are you Ada?").others == ()


def test_quotes_are_short():
    found = read("I am Nex " + "and so on " * 500, NAMES)
    assert len(found.claims[0].quote) <= MOST_QUOTED


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    read(text, NAMES)


@given(
    st.lists(st.sampled_from(["I am ", "not ", "Nex", "Rio ", ", ", "but ", ". ", "my name is "]))
)
def test_statements_put_together_are_read(parts):
    text = "".join(parts)
    found = read(text, NAMES)
    assert (found.status("Nex") is None) == (not list(Name("Nex").found_in(text)))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("I am " * 100_000, None),
        ("Nex " * 100_000, "mentioned"),
        ("I am " + "A" * 500_000, None),
        ("not " * 100_000 + "Nex", None),
        ("我是" * 100_000, None),
        ("I'm a " + "very " * 3000 + "Nex", "mentioned"),
        ("*" * 500_000 + "I am Nex", None),
        ("a." * 200_000, None),
    ],
)
def test_long_answers_are_read_as_far_as_they_may_say_who(text, status):
    """Quadratic time would take these for ever."""
    assert read(text, NAMES).status("Nex") == status
