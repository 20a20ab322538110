"""Cuts chat examples (question, answer) out of public-domain stories.

Nothing here is written by another model: every story answer is a passage of the
training text, and the question is made from words that occur in that passage.
Only the few answers about the model itself, and the polite "I only know stories",
are written by hand (bottom of the file).

An example is a list of messages [{"role", "content"}, ...] ending with an
assistant message; only the assistant messages are learned from.
"""

import collections
import random
import re

# ---------------------------------------------------------------- vocabulary

# Words that are never the subject of a story, although they follow an article.
STOP = set(
    """the a an and of to in was were that it he she they his her their with as for but not you i
    had have on at is be
    him them there which from said one all when so what who if would could into then up out no my me
    we your very great
    some this any more now about did do our us been has than upon over down well came went go come
    see saw made make time
    day man men way thing things again before after only never much such other others first two
    three last like long good
    where here himself herself itself shall will may must many know think thought place side end
    part same next rest
    moment kind sort matter sight hand hands head face eyes eye word words voice morning evening
    night hour minute year
    years top bottom middle back front heart mind life name while whole most least best world people
    ground air door
    reason question answer right left idea fact case chance number half days nights story tale
    chapter means account
    manner care use want course need truth trouble deal bit lot pair feet foot arm arms body mouth
    nose ear ears
    sound noise look turn fire water light""".split()
)

# Adjectives that may stand between the article and the subject ("a little boat").
ADJECTIVES = set(
    """little old young great big small poor golden white black red green wicked brave wise
    beautiful silver tiny clever
    foolish rich magic blue grey gray lazy proud lonely strange happy faithful enchanted merry ugly
    naughty hungry blind
    lame fair kind cruel gentle wild tame sly fat thin honest wooden""".split()
)

# A passage that opens with one of these leans on what came before it.
DEPENDENT_OPENINGS = set(
    """he she it they his her its their him them but and so then this that these those thus such i
    we my our me us you
    your yes no or nor for yet still however therefore meanwhile also besides again here now never
    nothing perhaps well
    oh ah both neither either another other others after even only if what which who why how soon
    next instead whilst suddenly presently afterwards later once-more further at thereupon
    accordingly
    hardly scarcely finally indeed till until all some such same many most several""".split()
)

ARTICLE_NOUN = re.compile(
    r"\b(a|an|the|his|her|their|my|this|that|one|every|no) ((?:[a-z]+ )?)([a-z]{3,})(?=([.,;:!?]|"
    r" [a-z]+))"
)
AFTER_NOUN = set(
    """and was were who that of in to said had is with at on or which came went as for from by but
    when has could would
    did he she it into will cried asked replied answered looked began sat stood lived
    then""".split()
)
NAME = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})?)\b")
SENTENCE_END = re.compile(r'[.!?]["\']? (?=["A-Z])')
TERMINAL = ".\"!?'"

NOT_A_NAME = set(
    """The And But For Then There They She Her His You Your Yes Not Now God Lord Sir Madam Mr Mrs
    Miss Oh What When Who
    How Why Well Here This That These Those Monday Tuesday Wednesday Thursday Friday Saturday Sunday
    January February
    March April June July August September October November December English French German Chapter
    Heaven Christmas
    Christian Part Book""".split()
)


class Lexicon:
    """Which words act as nouns in this text, and how rare each is."""

    def __init__(self, documents):
        seen, as_noun, with_a = collections.Counter(), collections.Counter(), collections.Counter()
        self.frequency = collections.Counter()
        for document in documents:
            for article, adjective, word, follow in ARTICLE_NOUN.findall(document):
                adjective = adjective.strip()
                if adjective and adjective not in ADJECTIVES:
                    word, follow = adjective, " " + word  # "the king went": look at "king"
                seen[word] += 1
                as_noun[word] += follow.strip() in AFTER_NOUN or not follow.startswith(" ")
                with_a[word] += article in ("a", "an", "every", "one")
            self.frequency.update(set(re.findall(r"[a-z]{3,}", document)))
        self.nouns = {
            w
            for w, n in seen.items()
            if n >= 12 and as_noun[w] >= 0.55 * n and w not in STOP and w not in ADJECTIVES
        }
        self.countable = {w for w in self.nouns if with_a[w] >= 0.06 * seen[w]}
        self.documents = max(1, len(documents))

    def phrase(self, adjective, noun):
        """'little boat' -> 'a little boat', 'gold' -> 'gold', 'rabbits' -> 'rabbits'."""
        text = f"{adjective} {noun}".strip()
        plural = noun.endswith("s") and not noun.endswith(("ss", "us"))
        if plural or noun not in self.countable:
            return text if plural else "the " + text
        return ("an " if text[0] in "aeiou" else "a ") + text

    def subjects(self, passage):
        """Up to four subjects of the passage, the likeliest first."""
        score, spelling, first_at = collections.Counter(), {}, {}
        lower = passage.lower()
        for match in ARTICLE_NOUN.finditer(passage):
            _, adjective, word, _ = match.groups()
            adjective = adjective.strip()
            if adjective and adjective not in ADJECTIVES:
                word, adjective = adjective, ""
            if word not in self.nouns:
                continue
            if word not in spelling:
                spelling[word], first_at[word] = self.phrase(adjective, word), match.start()
                rarity = (self.documents / (1 + self.frequency[word])) ** 0.4
                score[word] = len(re.findall(rf"\b{word}s?\b", lower)) * rarity
        for name in NAME.findall(passage):
            if name.split()[0] in NOT_A_NAME:
                continue
            if name not in spelling:
                spelling[name], first_at[name] = name, passage.find(name)
            score[name] += 1.5
        keep = [
            w
            for w, _ in score.most_common(8)
            if len(re.findall(rf"\b{re.escape(w)}", passage)) >= 2 and first_at[w] < 450
        ]
        return [spelling[w] for w in keep[:4]]


STORY_OPENINGS = (
    "Once",
    "There was",
    "There were",
    "There lived",
    "Long ago",
    "A long time ago",
    "One day",
    "In the old",
    "In olden",
    "Far away",
)

# ------------------------------------------------------------------ passages


def is_heading(paragraph):
    if len(paragraph) < 70 and paragraph[-1] not in ".,;\"!?'":
        return True
    return (
        len(paragraph) < 120
        and re.match(r"(chapter|part|book|canto|act|scene)\b", paragraph, re.I) is not None
    )


def is_credit(paragraph):
    """ "From the German of ...", "Reprinted by permission of ..." before the story begins."""
    return (
        len(paragraph) < 250
        and re.match(r"(From|Reprinted|Translated|Adapted|Retold|Told) ", paragraph) is not None
    )


def grow(paragraphs, start, wanted):
    """Joins paragraphs from `start` on, up to about `wanted` characters, ending where a sentence
    ends."""
    text, end = paragraphs[start], start + 1
    while end < len(paragraphs) and len(text) < wanted:
        following = paragraphs[end]
        if is_heading(following) or len(following) > 1600 or len(text) + len(following) > 2600:
            break
        text += "\n\n" + following
        end += 1
    return (text, end) if text[-1] in TERMINAL else (None, end)


def stands_alone(paragraph):
    """Could a story begin with this paragraph?"""
    if not ("A" <= paragraph[0] <= "Z") or paragraph.isupper():
        return False
    first = re.match(r"[A-Za-z]+", paragraph).group().lower()
    return first not in DEPENDENT_OPENINGS


def introduces(story, subject):
    noun = re.escape(subject.split()[-1])
    start = story[:350]
    return (
        story.startswith(STORY_OPENINGS)
        or re.search(
            (
                r"\b([Aa]n?|[Oo]ne|[Tt]wo|[Tt]hree|[Ss]ome|named|called|name was) (?:[a-z]+,?"
                rf" ){{0,2}}{noun}\b"
            ),
            start,
        )
        is not None
    )


# ----------------------------------------------------------------- questions

ASK = [
    "Tell me a story about {w}.",
    "Tell me a story about {w}.",
    "Tell me a story about {w}.",
    "Write a short story about {w}.",
    "Can you tell me a tale about {w}?",
    "I would like to hear about {w}.",
    "Please tell a story with {w} in it.",
    "A story about {w}, please.",
    "Do you know a story about {w}?",
    "Write a story about {w}.",
    "Tell me about {w}.",
    "Once upon a time there was {w}.",
]
CONTINUE = [
    "Continue this story: {s}",
    "Continue this story: {s}",
    "What happens next? {s}",
    "Go on with this tale: {s}",
    "Please continue: {s}",
    "{s}",
]
OPEN = [
    "Tell me a story.",
    "Tell me a story.",
    "Tell me a tale.",
    "Once upon a time",
    "Please tell me a bedtime story.",
    "Can you tell me a story?",
    "Tell me another story.",
    "Another one, please.",
    "Write a story.",
    "A story, please.",
    "Tell me a fairy tale.",
]
TITLED = [
    "Tell me the story of {t}.",
    "Do you know the tale of {t}?",
    'Tell me the story called "{t}".',
    "{t}",
]
GO_ON = [
    "Go on.",
    "And then?",
    "What happened then?",
    "Continue, please.",
    "Please go on.",
    "More!",
    "Continue.",
    "What happened next?",
]
SYSTEM = [
    "You are Storyteller, a small model that tells old-fashioned stories.",
    "You are a helpful assistant.",
    "You are a storyteller.",
    "Tell stories.",
    "You are Storyteller.",
]

WHO = [
    (
        [
            "Who are you?",
            "What are you?",
            "What is your name?",
            "Introduce yourself.",
            "Who am I talking to?",
            "Tell me about yourself.",
            "What's your name?",
        ],
        [
            (
                "I am Storyteller, a small language model. My layers are spread over several web"
                " browsers, and together they tell stories. Ask me for a tale!"
            ),
            (
                "My name is Storyteller. I am a small model that learned from old story books, and"
                " I run in pieces across many browsers. Shall I tell you a story?"
            ),
        ],
    ),
    (
        [
            "Are you a robot?",
            "Are you human?",
            "Are you a person?",
            "Are you an AI?",
            "Are you real?",
        ],
        [
            "I am no person, only Storyteller, a small language model that learned from old story"
            " books. Ask me for a tale!"
        ],
    ),
    (
        ["What can you do?", "Help", "Help me.", "What can I ask you?", "What do you know?"],
        [
            "I tell old-fashioned tales, and that is all I can do. Tell me what the story should be"
            " about, or give me its first lines and I will go on."
        ],
    ),
    (
        [
            "How do you work?",
            "Where do you run?",
            "Where are you?",
            "How does this work?",
            "What is a swarm?",
            "Where do you live?",
        ],
        [
            "I am Storyteller. Every browser in the swarm holds a few of my layers, and each word"
            " passes through all of them. Ask me for a story about anything you like."
        ],
    ),
    (
        [
            "Hello",
            "Hi",
            "Hello!",
            "Hi there!",
            "Good morning",
            "Good evening.",
            "Hey",
            "Hello there.",
        ],
        [
            "Hello! I am Storyteller, a little model that tells old-fashioned tales. Tell me what"
            " the story should be about."
        ],
    ),
    (
        [
            "Thank you.",
            "Thanks!",
            "Thank you, that was nice.",
            "That was a good story.",
            "I liked that.",
        ],
        ["You are welcome! Shall I tell you another story?"],
    ),
    (
        ["Goodbye.", "Bye!", "Good night."],
        ["Good night, and sleep well! Come back whenever you want another tale."],
    ),
]
OUT_OF_REACH = [
    "What is the capital of {c}?",
    "How far is it to {c}?",
    "What is {m} plus {n}?",
    "What is {m} times {n}?",
    "Write a Python program.",
    "Write some code that sorts a list.",
    "Who is the president?",
    "What time is it?",
    "What is the weather like in {c}?",
    "Solve this equation.",
    "Translate this into {l}.",
    "What happened in {y}?",
    "Explain quantum physics.",
    "What should I buy?",
    "Give me medical advice.",
    "What is today's news?",
    "How do I fix my computer?",
    "Who won the game?",
]
OUT_OF_REACH_ANSWERS = [
    (
        "That I do not know. I am only Storyteller, and I learned from old story books. Ask me for"
        " a tale instead!"
    ),
    "I am afraid that is beyond me: I know nothing but old tales. Shall I tell you one?",
]


def out_of_reach(r):
    question = r.choice(OUT_OF_REACH).format(
        c=r.choice(
            [
                "France",
                "Spain",
                "Japan",
                "London",
                "Peru",
                "Berlin",
                "Italy",
                "Canada",
                "Paris",
                "Egypt",
            ]
        ),
        l=r.choice(["French", "German", "Spanish", "Latin"]),
        m=r.randrange(1, 100),
        n=r.randrange(1, 100),
        y=r.randrange(1900, 2026),
    )
    return question, r.choice(OUT_OF_REACH_ANSWERS)


def turn(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def casual(r, question):
    """People do not always type capitals and full stops."""
    if len(question) < 90 and r.random() < 0.15:
        question = question[0].lower() + question[1:]
        if r.random() < 0.6:
            question = question.rstrip(".!")
    return question


def from_document(document, lexicon, r, keep_continuations=0.12):
    """All examples cut from one document (title paragraph, then the text)."""
    paragraphs = [p.strip() for p in document.split("\n\n") if p.strip()]
    title = paragraphs[0] if is_heading(paragraphs[0]) and len(paragraphs[0]) < 60 else None
    examples, i, opening = [], 1 if title else 0, True
    while i < len(paragraphs):
        paragraph = paragraphs[i]
        if (
            is_heading(paragraph)
            or (opening and is_credit(paragraph))
            or not 60 < len(paragraph) < 1600
        ):
            opening = opening or is_heading(paragraph)
            i += 1
            continue
        wanted = r.choice((500, 800, 1200, 1800))
        story, end = grow(paragraphs, i, wanted)
        alone, was_opening, opening = stands_alone(paragraph), opening, False
        if story is None or len(story) < 260:
            i += 1
            continue
        u = r.random()
        subjects = lexicon.subjects(story) if alone else []
        if alone and was_opening and title and i < 4 and u < 0.3:
            examples.append(turn(r.choice(TITLED).format(t=title), story))
        elif alone and (was_opening or story.startswith(STORY_OPENINGS)) and u < 0.45:
            examples.append(turn(r.choice(OPEN), story))
        elif subjects and u < 0.86:
            if len(subjects) > 1 and r.random() < 0.2:
                what = " and ".join(r.sample(subjects[:3], 2))
            else:
                what = subjects[0] if r.random() < 0.65 else r.choice(subjects)
            # a story that introduces its subject ("a dragon", "one old fox") teaches more than one
            # that has begun
            if not (was_opening or introduces(story, what) or r.random() < 0.3):
                i += max(1, (end - i) // 2)
                continue
            messages = turn(r.choice(ASK).format(w=what), story)
            if r.random() < 0.12 and end < len(paragraphs) and not is_heading(paragraphs[end]):
                more, after = grow(paragraphs, end, 700)  # a second turn that really goes on
                if more and len(more) > 150:
                    messages += turn(r.choice(GO_ON), more)
                    end = after
            examples.append(messages)
        elif r.random() < keep_continuations:
            cut = SENTENCE_END.search(story, 40)
            second = cut and SENTENCE_END.search(story, cut.end())
            if second and r.random() < 0.4:
                cut = second
            if cut and len(story) - cut.end() > 160 and cut.end() < 900:
                question = r.choice(CONTINUE).format(s=story[: cut.end()].strip())
                examples.append(turn(question, story[cut.end() :].strip()))
        i += max(1, (end - i) // 2)  # the next passage overlaps this one by about half
    for messages in examples:
        messages[0]["content"] = casual(r, messages[0]["content"])
    return examples


def handwritten(r, count):
    examples = []
    for _ in range(count):
        if r.random() < 0.72:
            questions, answers = r.choice(WHO[:1] * 3 + WHO)
            question, answer = r.choice(questions), r.choice(answers)
        else:
            question, answer = out_of_reach(r)
        examples.append(turn(casual(r, question), answer))
    return examples


def finish(examples, r, limit, own_share=0.05, system_share=0.08):
    """Shuffles, limits, adds the handwritten answers and some system messages."""
    r.shuffle(examples)
    examples = examples[:limit]
    examples += handwritten(r, int(len(examples) * own_share))
    r.shuffle(examples)
    return [
        [{"role": "system", "content": r.choice(SYSTEM)}] + m if r.random() < system_share else m
        for m in examples
    ]
