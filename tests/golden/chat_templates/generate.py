#!/usr/bin/env python3
"""Writes expected.json and snippets.json: what Jinja2 makes of every template here over every
conversation, and of the short templates in snippets.txt.

Jinja2 is set up exactly as Hugging Face transformers does for chat templates
(transformers/utils/chat_template_utils.py). Needs Debian's python3-jinja2. Run it after a template,
a conversation or a snippet has changed, and commit what it writes: the C++ test reads only that.
"""
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks an assistant's text; in a prompt it is just its content."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(environment, template, variables):
    """{"text": ...}, or {"error": message} for what the template itself refuses, or
    {"error": null} for any other failure."""
    try:
        return {"text": environment.from_string(template).render(**variables)}
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error) if raised else None}
    except Exception:  # Whatever Python says of a wrong type or value.
        return {"error": None}


def main():
    environment = make_environment()
    conversations = json.loads((HERE / "conversations.json").read_text())
    expected = []
    for path in sorted(HERE.glob("*.jinja")):
        for conversation in conversations:
            # As transformers does: tools and documents are there, as none, when there are none.
            variables = {"tools": None, "documents": None, "add_generation_prompt": False}
            variables.update(conversation["variables"])
            result = render(environment, path.read_text(), variables)
            expected.append({"template": path.name, "conversation": conversation["name"], **result})
    write("expected.json", expected)

    variables = json.loads((HERE / "snippet_variables.json").read_text())
    snippets = []
    for template in (HERE / "snippets.txt").read_bytes().decode().split("\n====\n")[:-1]:
        snippets.append({"template": template, **render(environment, template, variables)})
    write("snippets.json", snippets)


def write(name, rows):
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / name).write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
