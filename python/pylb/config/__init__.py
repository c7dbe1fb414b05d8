"""What the user wants, from text to the draft that the core compiles.

What was written is kept apart from what it means, in three steps:

    text --read.py--> tree with places --model.py--> Settings with defaults --draft.py--> the file's draft
    the file's draft, what names stand for, keys, operators' words --desired.py--> JSON for the core

Every step reports all of its mistakes at once, each with file, line and column. Nothing here runs or executes
what the file names.

The model is split by subject: listeners.py (with http.py, listening.py, tls.py), routes.py, sni.py, pools.py,
checks.py, sticky.py; section.py says how fields are declared. Single values are read in scalar.py, text.py,
address.py and small files for one kind each; what no single key can show is looked for in cross.

Loading. All raise `ConfigInvalid`, whose `errors` is a list of `Mistake`; OSError if the file cannot be read:

    load(path: Path, *, environ: Mapping[str, str]) -> Config
    parse(text: str, *, file: Path, environ: Mapping[str, str]) -> Config       text that claims to be `file`
    from_mapping(data: Mapping[str, Any], *, directory: Path) -> Config         the same keys as in YAML
    from_flags(listen, to, balance: str | None = None, health: str | None = None) -> Config
    demo(addresses: Sequence[str]) -> Config                                    round_robin, 127.0.0.1:8080

A source remembers how to load again (reload, watch):

    Source (protocol)                           `.load() -> Config` and `.describe() -> str`, such as these:
    File(path: Path, environ: Mapping[str, str])
    Flags(listen: tuple[str, ...], to: tuple[str, ...], balance: str | None, health: str | None)
    Demo(addresses: tuple[str, ...] = ())     serve starts the origins, then dataclasses.replace(source, ...)

What is loaded:

    Config.model: Settings              frozen pydantic model, every default filled in (see model.py)
        .listeners[name]                one class for each protocol, all with .bind (tuple[str, ...]),
                                        .protocol, .access_log and .pools
        .pools[name].backends           Backend (.address as written) or DnsBackend (.dns, .refresh);
                                        both: .weight .backup .max_in_flight
        .pools[name].health: HttpCheck | TcpCheck | None
              both: .interval .timeout (seconds, float) .rise .fall (int) .port (int | None)
              HttpCheck: .http (path) .expect (.first, .last; `status in check.expect`)
                         .host (str | None) .headers (dict)
        .stop.grace (seconds)
        .admin.bind: str | None         "unix:/absolute/path", or an address, which needs .admin.token
        .admin.token: SecretStr | None
        .metrics.bind: tuple[str, ...]  empty: off
        .log.access .log.format
        .log.level                      "debug" | "info" | "warning" | "error"
        .log.to                         "stderr" | "stdout" | absolute path
        .state_dir: str | None
        .max_clients: int | None        None: auto
        .workers: int | None            None: auto
    Config.file: Path | None            the main file; None for flags and the demo
    Config.files: tuple[Path, ...]      every file that was read, the main file first
    Config.pages: tuple[Path, ...]      files that are sent to clients; read anew for each draft
    Config.certificates: tuple[Path, ...]       certificates, keys and authorities; watched on their own
    Config.contents() -> Contents       what is in them: .files (dict of the names in the draft, and "system",
                                        to bytes) and .unusable; certificates that pylb makes are not in it,
                                        see tls_files.py: internal, internal_files, internal_folder
    Config.keys: dict[str, tuple[bytes, ...]]   the keys of pools that name their own
    Config.warnings: tuple[Mistake, ...]        legal but surely not meant: unused pools, useless keys
    Config.draft(*, resolve: Resolve = resolve, descriptors: int | None = None) -> bytes
        `resolve` turns a host name into the texts of its IP addresses, or raises OSError; it may block, so
        call draft in a thread. `descriptors` is the soft descriptor limit that `max_clients: auto` is
        computed from (None: the process's own). Raises ConfigInvalid.
    Config.locate(path: tuple[str | int, ...]) -> Place         str() is file:line:column
    Config.explain(errors: list[tuple[path, message]]) -> list[Mistake]     PlanInvalid.errors in the user's
    terms

    Mistake: .file .line .column .path .message .hint
        str() is "file:line:column: message; hint". line 0: no file behind it

Every mistake at once (verdict.py; not imported here, it needs the core): what the model, the resolver and the
core find, the last two also in what is left of a file that the model refuses (`ConfigInvalid.rest`, made by
repair.py):

    verdict.check(load) -> (mistakes, warnings)         verdict.draft(config) -> bytes
    verdict.completed(error) -> ConfigInvalid           what a load raised, with the rest of the mistakes

Keeping the last good one, for HUP, `pylb reload` and --watch (publish.py; not imported here, it needs the
core):

    publisher = Publisher(core, source)             core: anything with .apply and .useless
    outcome = await publisher.publish()             -> Published | Refused; one at a time
        Published(generation: int, config: Config)      .describe() -> one line
        Refused(mistakes: tuple[Mistake, ...], reason: str, exit_code: int)
                                                        .describe() -> lines; everything stays as it was
    publisher.config: Config | None                 the one in force
    await publisher.apply(config)                   the same, for a config from elsewhere (embedding)
    publisher.watched() -> list of files            what to watch, also after a refused load
    await publisher.override((pool, backend), change)       what an operator says, over the file (desired.py)
    await publisher.discovered(host, addresses)     what a name stands for now

Watching (watch.py): `async for _ in changes(publisher.watched, publisher.loaded)` yields once files are not
what was loaded last, and have stayed still for one round of half a second.
"""

from pylb.config.draft import carried_clients, resolve
from pylb.config.loaded import Config, from_mapping, load, parse
from pylb.config.model import Settings
from pylb.config.source import Demo, File, Flags, Source, demo, from_flags
from pylb.errors import ConfigInvalid, Mistake, Place

__all__ = [
    "Config",
    "ConfigInvalid",
    "Demo",
    "File",
    "Flags",
    "Mistake",
    "Place",
    "Settings",
    "Source",
    "carried_clients",
    "demo",
    "from_flags",
    "from_mapping",
    "load",
    "parse",
    "resolve",
]
