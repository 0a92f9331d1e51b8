"""Render a chat template in a sandbox; JSON in on standard input, JSON out.  Run by path, imports nothing of ours.

In: {"template": text}.  Out: {"refused": reason or null}.  A template that raises on purpose (some refuse a system
message) is fine; one that reaches outside the sandbox, loops or writes without end is not.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_OUTPUT = 1_000_000
_WIDE = re.compile(r"%[^%a-zA-Z]*(\d{4}|\*)")
_MEMORY = 1024 * 2**20
_FORBIDDEN = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
_SAMPLES: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
]


class Refused(Exception):
    """The template does what no chat template needs."""


class Generation(Extension):
    """``{% generation %}``, by which a template marks the assistant's words; here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        """The body as it stands."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """Also bounds what an operator can make out of little: 'a' * 10**9, 10**10**9, '%999999999d' % 1."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As jinja does it, within bounds."""
        texts = isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple)
        if operator == "**" and (not isinstance(right, int | float) or abs(right) > 64):
            raise Refused("It computes a huge power.")
        if operator == "*" and texts:
            times = left if isinstance(left, int) else right
            if isinstance(times, int) and times > 10_000:
                raise Refused("It repeats a text too often.")
        if operator == "%" and isinstance(left, str) and _WIDE.search(left):
            raise Refused("It formats text to a huge width.")
        return super().call_binop(context, operator, left, right)


def environment() -> Sandbox:
    """Jinja as transformers sets it up for chat templates, in the sandbox."""
    made = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    def stop(message: str) -> None:
        raise TemplateError(str(message)[:200])

    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = stop
    made.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(str(form)[:100])
    return made


def check_words(made: Sandbox, text: str) -> None:
    """Refuse, without running it, what only an attack needs: dunder names and other files; also in branches not taken."""
    tree = made.parse(text)
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Name, nodes.Const, *_FORBIDDEN)):
        if isinstance(node, _FORBIDDEN):
            raise Refused("It reads another template.")
        named = getattr(node, "attr", None) or getattr(node, "name", None) or getattr(node, "value", None)
        if isinstance(named, str) and named.startswith("__") and named.endswith("__") and len(named) > 4:
            raise Refused(f"It reaches for {named[:40]!r}.")


def render(made: Sandbox, text: str) -> None:
    """Render the samples; the output is thrown away."""
    template = made.from_string(text)
    for messages in _SAMPLES:
        written = 0
        try:
            for piece in template.generate(messages=messages, add_generation_prompt=True, bos_token="<s>", eos_token="</s>",
                                           tools=None, documents=None):
                written += len(piece)
                if written > MOST_OUTPUT:
                    raise Refused(f"It writes over {MOST_OUTPUT:,} characters for a short conversation.")
        except (SecurityError, OverflowError, MemoryError, RecursionError) as problem:
            raise Refused(f"It leaves the sandbox: {type(problem).__name__}: {str(problem)[:150]}.") from problem
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError):
            continue  # it refuses this conversation, or wants what this sample lacks


def limit_memory() -> None:
    """On POSIX the kernel holds the bound; elsewhere the parent watches."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    except (ImportError, ValueError, OSError):
        pass


def main() -> None:
    """Read, check, render, answer."""
    text = json.loads(sys.stdin.buffer.read())["template"]
    limit_memory()
    reason = None
    try:
        made = environment()
        check_words(made, text)
        render(made, text)
    except Refused as problem:
        reason = str(problem)
    except TemplateSyntaxError as problem:
        reason = f"It is not valid, line {problem.lineno}: {str(problem.message)[:150]}."
    except (MemoryError, RecursionError, jinja2.TemplateError) as problem:
        reason = f"It cannot be rendered: {type(problem).__name__}."
    json.dump({"refused": reason}, sys.stdout)


if __name__ == "__main__":
    main()
