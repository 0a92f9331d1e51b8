"""The command line.  With --json standard output holds one object and nothing else; progress goes to standard error.

Exit code 0 success, 1 the work failed, 2 bad input.  Heavy modules are imported by the commands that need them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from app.config import offline
from app.errors import NeuroWeaverError, Place, UsageError, as_installed
from app.store import Profile, Store

Handler = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """argparse that raises our error instead of printing and leaving."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("usage", f"{message[:1].upper()}{message[1:]}.", remedy=f"See: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog=as_installed("main.py"), description="NeuroWeaver: specialise a language model on private data. Without a command: the window."
    )
    top.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, handler: Handler, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary)
        made.set_defaults(handler=handler)
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on standard output")
        return made

    _kits_parser(add)
    run = add("run", _run, "run a kit or a workflow file")
    run.add_argument("source", metavar="FILE|KIT")
    run.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a value (repeatable)")
    run.add_argument("--data", type=Path, metavar="FILE", help="your own file, for a kit that carries no rows")
    run.add_argument("--environment", help="overlay from the document's environments")
    run.add_argument("--keep-serving", action="store_true", help="leave the endpoint up afterwards, until Ctrl+C")
    add("status", _status, "the newest run, or one").add_argument("run", nargs="?")
    cancel = add("cancel", _cancel, "stop a run")
    cancel.add_argument("run")
    cancel.add_argument("--discard", action="store_true", help="do not keep what it has reached")
    add("resume", _resume, "go on with a run").add_argument("run")
    _datasets_parser(add)
    _models_parser(add)
    deploy = add("deploy", _deploy, "release a model version and serve it")
    deploy.add_argument("model")
    deploy.add_argument("--alias", help="name that clients put in “model”")
    add("chat", _chat, "ask a served model: one question a line of standard input").add_argument("model")
    service = add("service", _service, "run scheduler and endpoint until SIGTERM")
    service.add_argument("--port", type=_port, help="0 to 65535; 0: any free one")
    doctor = add("doctor", _doctor, "check this machine")
    doctor.add_argument("--restore", action="store_true", help="put the newest backup in the place of a damaged database, which is kept")
    return top


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it must be from 0 to 65535")
    return int(text)


def _kits_parser(add: Callable[[str, Handler, str], argparse.ArgumentParser]) -> None:
    kits = add("kits", _kits, "list the kits, make one from a run, open a kit file")
    actions = kits.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    out = actions.add_parser("export", help="make a kit file from a finished run; it carries no row")
    out.add_argument("run")
    out.add_argument("--to", type=Path, required=True, metavar="FILE")
    for name, what in (("title", "name on its card"), ("summary", "what it teaches"), ("domain", "for example legal"),
                       ("licence", "SPDX expression")):
        out.add_argument(f"--{name}", default="", help=what)
    out.add_argument("--version", type=int, default=1, help="raise it when you share a newer one")
    out.set_defaults(handler=_kits_export)
    bring = actions.add_parser("import", help="open a kit file")
    bring.add_argument("file", type=Path)
    bring.set_defaults(handler=_kits_import)
    for made in (out, bring):
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on standard output")


def _datasets_parser(add: Callable[[str, Handler, str], argparse.ArgumentParser]) -> None:
    from app.data.mapping_preview import PARTS

    datasets = add("datasets", _datasets, "list, import or export datasets")
    actions = datasets.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    bring = actions.add_parser("import", help="import a file")
    bring.add_argument("file", type=Path, help="CSV, TSV, JSON, JSONL, Parquet, XLSX, TXT, Markdown, PDF or DOCX; text ones also as .gz")
    bring.add_argument("--name", help="name of the dataset (default: the file's)")
    bring.add_argument("--split-field", metavar="COLUMN", help="column that says train, test or calibration")
    bring.add_argument("--map", action="append", default=[], metavar="PART=COLUMN", help="which column plays which part, where the names "
                       f"do not tell (repeatable); parts: {', '.join(PARTS)}")
    bring.set_defaults(handler=_datasets_import)
    out = actions.add_parser("export", help="export a version")
    out.add_argument("dataset", help="its id or name")
    out.add_argument("--version", type=int, metavar="N", help="which version (default: the newest)")
    out.add_argument("--to", type=Path, required=True, metavar="FILE", help="a name that ends in .jsonl, .csv or .parquet")
    out.set_defaults(handler=_datasets_export)
    for action in (bring, out):
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on standard output")


def _models_parser(add: Callable[[str, Handler, str], argparse.ArgumentParser]) -> None:
    models = add("models", _models, "list or import models")
    actions = models.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    bring = actions.add_parser("import", help="import a GGUF file or a safetensors folder")
    bring.add_argument("path", type=Path)
    bring.add_argument("--name", help="name of the model (default: the file's or the folder's)")
    bring.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on standard output")
    bring.set_defaults(handler=_models_import)


def main(arguments: Sequence[str], window: Callable[[list[str]], int]) -> int:
    """Run one command, or open the window; returns the exit code.  No traceback reaches a user."""
    as_json = "--json" in arguments
    try:
        offline.enforce(Profile.default().logs, True, "command line")  # until a window or a service reads the setting
        if not arguments or Path(arguments[0]).is_file():  # files to import are the window's
            return _window(list(arguments), window)
        given = parser().parse_args(list(arguments))
        if given.command is None:
            raise UsageError("usage", f"{' '.join(arguments)} needs a command.",
                             remedy="Without any argument the window opens. The commands: main.py --help")
        handler: Handler = given.handler
        return handler(given)
    except NeuroWeaverError as problem:
        return report(problem, as_json)
    except KeyboardInterrupt:
        say("Stopped.")
        return 1
    except BrokenPipeError:
        return 1
    except Exception as problem:  # a mistake in the program: said in words; the traceback goes to a file
        return report(_unforeseen(problem), as_json)


def _unforeseen(problem: Exception) -> NeuroWeaverError:
    import traceback

    where = Profile.default().logs / "crash.log"
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text("".join(traceback.format_exception(problem)), encoding="utf-8")
        kept = f"The details are in {where}."
    except OSError:
        kept = ""
    return NeuroWeaverError(
        "internal", "The program met a fault of its own.", why=f"{type(problem).__name__}: {problem}.", remedy=kept
    )


def report(problem: NeuroWeaverError, as_json: bool) -> int:
    """Print an error; returns its exit code."""
    if as_json:
        found: dict[str, Any] = {"error": problem.as_json()}
        if problem.others:
            found["others"] = [other.as_json() for other in problem.others]
        print(json.dumps(found))
    else:
        for one in (problem, *problem.others):
            say(f"{one.where}: {one.message}" if str(one.where) else one.message)
            if one.remedy:
                say(f"  {one.remedy}")
    return problem.exit_code


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def show(given: argparse.Namespace, content: dict[str, Any], lines: Sequence[str]) -> int:
    """The object with --json, else the lines."""
    if getattr(given, "json", False):
        print(json.dumps(content))
    else:
        print("\n".join(lines))
    return 0


# ---- window -------------------------------------------------------------------------------------------------------


def _window(arguments: list[str], window: Callable[[list[str]], int]) -> int:
    from app.doctor import has_display

    if has_display():
        return window(["neuroweaver", *arguments])
    if arguments:
        raise UsageError("usage.display", "There is no display here, so no window can show these files.",
                         where=Place(file=arguments[0]), remedy=f"Import without a window: main.py datasets import {arguments[0]}")
    say("There is no display here, so the starter kit runs without a window, and its model is served afterwards.")
    return main(["run", "legal", "--keep-serving"], window)


# ---- runs ---------------------------------------------------------------------------------------------------------


def overrides(given: Sequence[str]) -> dict[str, str]:
    """--set A.B=C as a mapping."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UsageError("usage.set", f"--set {one!r} is not of the form a.b=c.", remedy="For example --set train.epochs=1")
        found[name.strip()] = value
    return found


def _run(given: argparse.Namespace) -> int:
    from app.workflow import runs

    with Store.open() as store:
        run = runs.submit(store, given.source, overrides(given.set), environment=given.environment, data=given.data)
        return _carry_through(given, store, run, keep=given.keep_serving)


def _carry_through(given: argparse.Namespace, store: Store, run: str, *, keep: bool = False) -> int:
    """Follow a run to its end.  Ctrl+C or SIGTERM stops a service that was started for it, so the run saves and pauses."""
    from app.workflow import follow, runs

    follow.sigterm_as_interrupt()
    with follow.service_for(store) as keeper:
        with contextlib.suppress(KeyboardInterrupt):
            state = follow.follow(store, run, say)
            result = runs.result(store, run)
            show(given, result, follow.summary_lines(store, result))
            sys.stdout.flush()
            if state == "done" and keep:
                keeper.wait(say)
            else:
                keeper.wait_for_others(store, say)
            return 0 if state == "done" else 1
        say(keeper.farewell(runs.find_run(store, run)["number"]))
    result = runs.result(store, run)
    show(given, result, follow.summary_lines(store, result))
    return 1


def _status(given: argparse.Namespace) -> int:
    from app.workflow import follow, runs

    with Store.open() as store:
        runs.reconcile(store)
        result = runs.details(store, runs.find_run(store, given.run)["id"])
        return show(given, result, follow.summary_lines(store, result))


def _cancel(given: argparse.Namespace) -> int:
    from app.workflow import runs

    with Store.open() as store:
        runs.reconcile(store)
        row = runs.find_run(store, given.run)
        runs.cancel(store, row["id"], "discard" if given.discard else "save")
        state = runs.find_run(store, row["id"])["state"]
        state = "cancelling" if state in ("queued", "running") else state
    return show(given, {"run": row["id"], "state": state}, [f"Run {row['number']}: {state}."])


def _resume(given: argparse.Namespace) -> int:
    from app.workflow import runs

    with Store.open() as store:
        runs.reconcile(store)
        return _carry_through(given, store, runs.resume(store, given.run))


def _kits(given: argparse.Namespace) -> int:
    from app.workflow.doors import kits

    with Store.open() as store:
        found = kits(store)
    return show(
        given, {"kits": found}, [f"{kit['name']:12} {kit['title']}  ({kit['domain']}, {kit['base_model']})" for kit in found]
    )


def _kits_export(given: argparse.Namespace) -> int:
    from app.workflow.kit_making import About, export_kit

    about = About(given.title, given.summary, given.domain, given.licence, given.version)
    with Store.open() as store:
        made = export_kit(store, given.run, given.to, about)
    left, carried = list(made.left_out), list(made.carried)
    return show(
        given,
        {"file": str(given.to), "title": made.title, "version": made.version, "size": len(made.content), "left_out": left,
         "carried": carried},
        [f"{made.title}, version {made.version}: {given.to} ({len(made.content):,} bytes, no rows)",
         f"Names that it carries: {', '.join(carried) or 'none'}", f"Left out: {', '.join(left) or 'nothing'}"],
    )


def _kits_import(given: argparse.Namespace) -> int:
    from app.workflow.kit_opening import open_kit

    with Store.open() as store:
        done = open_kit(store, given.file)
    words = "was there already" if done.known else f"replaces version {done.replaced}" if done.replaced else "is added to your kits"
    return show(
        given,
        {"kit": done.name, "title": done.title, "version": done.version, "needs_data": list(done.needs_data)},
        [as_installed(f"{done.title}, version {done.version}, {words}. Run it on your data: main.py run {done.name} --data FILE")],
    )


# ---- data, models -------------------------------------------------------------------------------------------------


def _datasets(given: argparse.Namespace) -> int:
    from app.data.api import list_datasets

    with Store.open() as store:
        found = list_datasets(store)
    lines = [
        f"{one['name']}  {one['dataset']}  "
        + ", ".join(f"v{version['version']}: " + (f"{version['rows']:,} rows" if version["state"] == "ready" else version["state"])
                    for version in one["versions"])
        for one in found
    ]
    return show(given, {"datasets": found}, lines or [as_installed("No data yet. Import a file with: main.py datasets import FILE")])


def mapping(given: Sequence[str]) -> dict[str, str] | None:
    """--map PART=COLUMN as the import takes it; the parts tell the shape.  None: to be recognised."""
    from app.data.mapping_preview import PARTS, SHAPES, shape_with

    if not given:
        return None
    parts = dict(one.partition("=")[::2] for one in given)
    if unknown := next((one for one in given if one.partition("=")[0] not in PARTS or not one.partition("=")[2]), ""):
        raise UsageError("usage.map", f"--map {unknown!r} is not of the form part=column.",
                         remedy=f"The parts: {', '.join(PARTS)}. For example --map prompt=Frage --map answer=Antwort")
    if not (shape := shape_with(parts)):
        known = "; ".join(", ".join(role.role for role in one.roles) for one in SHAPES)
        raise UsageError("usage.map", f"The parts {', '.join(parts)} do not belong together.", remedy=f"Those that do: {known}.")
    return {"shape": shape, **parts}


def _datasets_import(given: argparse.Namespace) -> int:
    from app.workflow.doors import import_file

    with Store.open() as store:
        done = import_file(store, given.file, given.name, given.split_field, mapping(given.map))
    aside = f", {done['rejected']:,} set aside in {done['rejects_file']}" if done["rejected"] else ""
    return show(
        given, done, [*done["warnings"], f"{done['rows']:,} rows imported as {done['dataset']} version {done['version']}{aside}"]
    )


def _datasets_export(given: argparse.Namespace) -> int:
    from app.data.api import export_version

    with Store.open() as store:
        done = export_version(store, given.dataset, version=given.version, to=given.to)
    return show(
        given,
        {"dataset": done.dataset, "version": done.version, "rows": done.rows, "file": done.file},
        [f"{done.rows:,} rows written to {done.file}"],
    )


def _models(given: argparse.Namespace) -> int:
    from app.registry.api import list_models

    with Store.open() as store:
        found = list_models(store)
    models = [
        {
            "name": model.name,
            "live": model.live,
            "versions": [
                {"id": one.id, "version": one.version, "state": one.state, "format": one.format, "path": one.path, "size": one.size}
                for one in model.versions
            ],
        }
        for model in found
    ]
    lines = [f"{one.id}  {one.state}{'  live' if one.live else ''}" for model in found for one in model.versions]
    return show(given, {"models": models}, lines or [as_installed("No model yet. A run makes one: main.py run legal")])


def _models_import(given: argparse.Namespace) -> int:
    from app.registry.api import import_model

    with Store.open() as store:
        version = import_model(store, given.path, name=given.name)
    return show(given, {"model": version.id, "path": version.path, "format": version.format}, [f"Imported as {version.id}"])


def _deploy(given: argparse.Namespace) -> int:
    from app.workflow.doors import deploy

    with Store.open() as store:
        alias = deploy(store, given.model, given.alias)
    return show(given, {"model": alias, "state": "starting"}, [as_installed(f"{alias} is served by the endpoint (main.py service)")])


def _chat(given: argparse.Namespace) -> int:
    """One question a line of standard input; answers are written as they come, with --json all together at the end."""
    from app.gateway import keys
    from app.registry import api
    from app.workflow import follow

    as_json = getattr(given, "json", False)
    with Store.open() as store:
        api.check_served(store, given.model)
        with follow.service_for(store) as keeper:
            if keeper.presence.base_url is None:
                raise UsageError("endpoint.off", "The endpoint is switched off.", remedy="Switch it on in Settings.")
            answers = _conversation(keeper.presence.base_url, keys.ensure(store), given.model, aloud=not as_json)
            if as_json:
                show(given, {"model": given.model, "answers": answers}, ())
                sys.stdout.flush()
            keeper.wait_for_others(store, say)
    return 0


def _conversation(base_url: str, key: str, model: str, *, aloud: bool) -> list[dict[str, str]]:
    from app.gateway.client import stream_chat

    if sys.stdin.isatty():
        say("One question a line; Ctrl+D ends.")
    messages: list[dict[str, str]] = []
    for line in filter(str.strip, sys.stdin):
        messages.append({"role": "user", "content": line.strip()})
        words = []
        for piece in stream_chat(base_url, key, model, messages, temperature=0.0, max_tokens=256):
            words.append(piece.text)
            if aloud:
                print(piece.text, end="" if not piece.done else "\n", flush=True)
        messages.append({"role": "assistant", "content": "".join(words)})
    return [{"question": asked["content"], "answer": said["content"]} for asked, said in zip(messages[::2], messages[1::2], strict=True)]


# ---- service, doctor ----------------------------------------------------------------------------------------------


def _service(given: argparse.Namespace) -> int:
    from app.gateway import keys
    from app.service import run_service

    profile = Profile.default()

    def told(presence: Any) -> None:
        with Store.open(profile) as store:
            key = keys.ensure(store)
        if getattr(given, "json", False):
            print(json.dumps({"base_url": presence.base_url, "key": key, "pid": presence.pid}), flush=True)
        else:
            say(f"The endpoint answers at {presence.base_url or 'no address: it is switched off'}. Ctrl+C ends it.")

    run_service(profile, port=given.port, told=told)
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from app.doctor import checks

    if given.restore:
        return _restore(given)
    found = checks()
    marks = {"ok": "ok      ", "warning": "warning ", "error": "error   "}
    lines = [
        f"{marks[one['status']]} {one['name']}: {one['detail']}" + (f"\n          {one['hint']}" if one["hint"] else "")
        for one in found
    ]
    show(given, {"checks": found}, lines)
    return 1 if any(one["status"] == "error" for one in found) else 0


def _restore(given: argparse.Namespace) -> int:
    from app.store.backup import restore_damaged
    from app.store.key import obtain_key

    profile = Profile.default()
    copy, kept = restore_damaged(profile, obtain_key(profile))
    return show(given, {"restored": str(copy), "kept": str(kept)},
                [f"{copy.name} is in place again; what was done since is not in it. The damaged file is kept as {kept}"])
