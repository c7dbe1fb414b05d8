"""`pylb serve`: one process, one `trio.run`, one nursery, every service started in order.

Signals decide how it ends. The first TERM or INT leaves the block of `running`, which lets requests in
flight end within the grace; the second cancels everything. HUP, USR1 and `--watch` change what runs without
ending anything.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import trio

from pylb import demo, limits, messages
from pylb.admin import doors, routes, server
from pylb.balancer import LoadBalancer, running
from pylb.config import Config, Demo, Source
from pylb.config.outcome import Outcome
from pylb.config.watch import changes
from pylb.core import Fact, versions
from pylb.errors import PylbError
from pylb.notify import Notify

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SWITCH_INTERVAL = 0.0002
"""Seconds: how soon a thread that waits for the interpreter gets it from a busy one."""


def serve(source: Source, *, watch: bool = False, admin: str | None = None) -> int:
    """Runs until told to stop; returns the exit code. Raises PylbError if it cannot start."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    limits.raise_descriptors()
    try:
        trio.run(_serve, source, watch, admin)
    except BaseExceptionGroup as group:
        raise _sole(group) from None
    return 0


async def _serve(source: Source, watch: bool, admin: str | None) -> None:
    with trio.open_signal_receiver(*SIGNALS) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # the command line blocks some until now
        async with trio.open_nursery() as nursery:
            introduction = ""
            if isinstance(source, Demo):
                source, introduction = await nursery.start(demo.origins)
            async with running(source) as balancer:
                sys.stderr.write(introduction)
                service = Service(balancer, nursery)
                _begin_messages(balancer.config)
                nursery.start_soon(messages.Messages(service.heard).write, balancer.facts())
                await nursery.start(service.admin, admin)
                nursery.start_soon(service.obey, signals)
                if watch:
                    nursery.start_soon(service.watch)
                await trio.lowlevel.checkpoint()  # lets every service take its place before anybody is told
                service.ready()
                await service.stopping.wait()
            nursery.cancel_scope.cancel()


@dataclass
class Service:
    """What surrounds the balancer in a process of its own: signals, the admin socket, the service manager."""

    balancer: LoadBalancer
    nursery: trio.Nursery
    notify: Notify = field(default_factory=Notify)
    stopping: trio.Event = field(default_factory=trio.Event)

    def ready(self) -> None:
        """Says what runs and where."""
        for line in greeting(self.balancer):
            messages.logger.info("%s", line)
        self.notify.ready("serving")

    async def obey(self, signals: AsyncIterator[int]) -> None:
        """Does what signals say, until there are no more."""
        async for number in signals:
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stop()
            elif number == signal.SIGUSR1:
                messages.reconfigure(self.balancer.config.model.log)
                self.balancer.reopen_log()
            elif not self.stopping.is_set():
                self.nursery.start_soon(self.reload_unasked)

    def stop(self) -> None:
        """Gracefully; at once when called again."""
        if self.stopping.is_set():
            self.nursery.cancel_scope.cancel()
        self.stopping.set()
        self.notify.stopping("waiting for requests in flight")

    async def reload_unasked(self) -> None:
        """A reload that nobody waits for. A fault of ours in it must not end what is running."""
        try:
            await self.reload()
        except Exception:
            messages.logger.exception(
                "the reload failed inside pylb, and changed nothing; please report this"
            )

    async def reload(self) -> Outcome:
        self.notify.reloading()
        try:
            return await self.balancer.reload()
        finally:
            self.notify.ready("serving")

    async def watch(self) -> None:
        async for _ in changes(self.balancer.watched, self.balancer.loaded):
            await self.reload_unasked()

    def heard(self, fact: Fact) -> None:
        """A configuration in force also says where messages go."""
        if fact["fact"] == "config_applied":
            messages.reconfigure(self.balancer.config.model.log)

    async def admin(self, given: str | None, task_status: trio.TaskStatus[None]) -> None:
        """Answers operators until cancelled."""
        admin = self.balancer.config.model.admin
        with doors.opened(given, admin.bind, os.environ) as opened:
            for line in opened.warnings:
                messages.logger.warning("%s", line)
            answers = routes.routes(self.balancer, self.reload)
            async with trio.open_nursery() as nursery:
                for door in opened.private:
                    nursery.start_soon(server.Server(answers).serve, door)
                for door in opened.public:
                    nursery.start_soon(server.Server(answers, self.admin_token).serve, door)
                task_status.started()

    def admin_token(self) -> str:
        """What clients on TCP must show; a reload may change it."""
        token = self.balancer.config.model.admin.token
        assert token is not None, "the configuration refuses a TCP address without one"
        return token.get_secret_value()


def _begin_messages(config: Config) -> None:
    """From here on, messages go where they should; raises PylbError if they cannot."""
    log = config.model.log
    try:
        messages.configure(log)
    except OSError as error:
        line = f"log: cannot write to {log.to}: {error.strerror or error}"
        raise PylbError(config.located(("log", "to"), line)) from None


def greeting(balancer: LoadBalancer) -> list[str]:
    """Where it listens, and with what."""
    status, metrics = balancer.status(), balancer.config.model.metrics.bind
    listening = [f"{name} on {', '.join(entry['bind'])}" for name, entry in status["listeners"].items()]
    lines = [
        f"pylb {versions()['pylb']} serves {'; '.join(listening)}",
        f"{status['workers']} workers, max_clients {status['max_clients']}, process {status['pid']}",
    ]
    return [*lines, f"metrics on {', '.join(metrics)}"] if metrics else lines


def _sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure that a user can understand, out of the groups that nurseries put around it."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner if isinstance(inner, PylbError | KeyboardInterrupt) else group
