"""The gateway as a process: Envoy, the answers to its questions, its own pages, and what the journal needs meanwhile.

It outlives the runner, and Envoy outlives it: after a kill, or when the journal fails, reads continue through Envoy and
writes are refused until the next gateway takes it over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from vectormigrate.adapter.operations import operations_of
from vectormigrate.adapter.server_access import is_local
from vectormigrate.capture.gateway import files
from vectormigrate.capture.gateway.admission import Admissions, Collection
from vectormigrate.capture.gateway.asking import Asker
from vectormigrate.capture.gateway.envoy_binary import find_envoy
from vectormigrate.capture.gateway.envoy_process import Envoy, envoy_running
from vectormigrate.capture.gateway.keeping import Keeper, keep
from vectormigrate.capture.gateway.listening import Place, places, shown_ports
from vectormigrate.capture.gateway.marks import IdReader, Marks, id_reader
from vectormigrate.capture.gateway.options import GatewayEvent, GatewayOptions, Listener, Migration
from vectormigrate.capture.gateway.pages import Pages
from vectormigrate.capture.gateway.ports import Port
from vectormigrate.capture.gateway.processor import serve_questions
from vectormigrate.capture.gateway.serving import Serving, gateway_ports, serving
from vectormigrate.capture.gateway.sessions import entered
from vectormigrate.capture.gateway.web import serve_pages
from vectormigrate.capture.journal.connection import Connection, connect
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.intents import Intents, Session
from vectormigrate.capture.journal.records import Position
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import FROZEN, LivePhase, authority
from vectormigrate.engine.connect import configure
from vectormigrate.errors import CollectionNotFound, ConfigError, JournalError, VectorMigrateError
from vectormigrate.model.clock import steady_milliseconds, utc_text
from vectormigrate.model.live import Authority, GatewayInfo

INFO_SECONDS = 1.0
TARGET_SECONDS = 2.0


class Gateway:
    """One run. Made with an event loop running."""

    def __init__(self, migration: Migration, options: GatewayOptions, listener: Listener) -> None:
        self._migration = migration
        self._folder = migration.folder
        self._options = options
        self._listener = listener
        self._started = utc_text()
        self._ended = asyncio.Event()
        self._failure: JournalError | None = None
        self._position: Position | None = None
        self._shown: Authority | None = None
        self._served: dict[Side, Serving] = {}
        self._target_embedded = False
        self._collections: dict[str, Collection] = {}
        self._ports: list[Port] = []
        self._askers: list[Asker] = []
        self._envoy: Envoy | None = None
        self._http = ""
        self._tainted = False
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End in order. Safe to call from another thread, and in a signal's handler."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def run(self) -> None:
        """Until `stop`, or until the journal fails (JournalError). Raises ConfigError, LeaseHeld, and what connecting
        to the source may raise."""
        async with AsyncExitStack() as stack:
            stack.enter_context(files.only_gateway(self._folder))
            for side, endpoint in ((Side.SOURCE, self._migration.source), (Side.TARGET, self._migration.target)):
                try:
                    found = await serving(side, endpoint)
                except CollectionNotFound:
                    if side is Side.SOURCE:
                        raise
                    continue
                if found is not None:
                    self._served[side] = found
                elif side is Side.TARGET:
                    self._target_embedded = True
            if Side.SOURCE not in self._served and not self._options.marks_only:
                raise ConfigError(
                    "the source is embedded in its application, so nothing can be put in front of it: let the writers "
                    "mark their writes"
                )
            binary = None if self._options.marks_only else await anyio.to_thread.run_sync(self._envoy_binary)
            intents, session, identity = self._begin(stack)
            group = GroupCommit(intents, self._journal_failed)
            stack.push_async_callback(self._leave, group, intents, session)
            admissions = Admissions(group, fail_open=self._options.fail_open, tainted=self._taint)
            keeper = self._keeper(stack, session)
            self._see(admissions, await anyio.to_thread.run_sync(keeper.look))
            listening = self._places()
            if binary is not None:
                await self._forward(stack, binary, listening, admissions)
            marks = Marks(admissions, group, self._readers(), identity)
            await self._show_pages(stack, listening, marks, admissions)
            async with anyio.create_task_group() as tasks:
                seen = partial(self._see, admissions)
                tasks.start_soon(partial(keep, keeper, self._keeping_failed, seen, self._thawed))
                tasks.start_soon(self._write_info, admissions, marks)
                tasks.start_soon(self._follow_target)
                await self._ended.wait()
                tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def _places(self) -> Mapping[str, Place]:
        options = self._options
        servers = {} if options.marks_only else self._served
        return places(self._folder, servers, listen=options.listen, asked=options.ports, http=options.http)

    def _envoy_binary(self) -> Path:
        if not self._served:
            raise ConfigError("neither side has a server to put Envoy in front of: let the writers mark their writes")
        return find_envoy(self._options.envoy)

    def _begin(self, stack: AsyncExitStack) -> tuple[Intents, Session, str]:
        connection = self._connect(stack, durable=True)
        intents = Intents(connection, steady_milliseconds)
        session, taints = entered(
            connection,
            intents,
            self._folder,
            fail_open=self._options.fail_open,
            identity=self._migration.identity,
            seen=self._migration.seen,
        )
        for reason in taints:
            self._listener(GatewayEvent(kind="tainted", text=reason))
        return intents, session, str(connection.row("load_journal")[1])

    def _connect(self, stack: AsyncExitStack, *, durable: bool) -> Connection:
        connection = connect(self._folder.journal, self._migration.id, durable=durable)
        stack.callback(connection.close)
        return connection

    def _keeper(self, stack: AsyncExitStack, session: Session) -> Keeper:
        keeping = self._connect(stack, durable=True)
        return Keeper(
            keeping=keeping,
            looking=self._connect(stack, durable=False),
            moving=self._connect(stack, durable=False),
            intents=Intents(keeping, steady_milliseconds),
            session=session,
            options=self._migration.options,
            clock=steady_milliseconds,
        )

    async def _leave(self, group: GroupCommit, intents: Intents, session: Session) -> None:
        """After the last request: a session that ends in order knows nothing that the journal does not."""
        with suppress(JournalError):
            await group.close()
            if self._failure is None and not self._tainted:
                await anyio.to_thread.run_sync(intents.end_session, session)
                self._listener(GatewayEvent(kind="stopped", text="stopped; nothing is left under way"))

    async def _forward(
        self, stack: AsyncExitStack, binary: Path, listening: Mapping[str, Place], admissions: Admissions
    ) -> None:
        """Envoy, and who answers it. Envoy ends last: what is under way gets its answer."""
        stack.push_async_callback(self._stop_asking)
        for found in self._served.values():
            self._open_ports(found, listening)
        self._folder.envoy.mkdir(mode=0o700, exist_ok=True)
        sockets = files.socket_folder(self._folder)
        own = [port for port in self._ports if port.side is Side.SOURCE]
        envoy = Envoy(binary, self._folder.envoy, sockets, own, self._of_target())
        self._envoy = envoy
        adopted = await stack.enter_async_context(envoy_running(envoy, leave=lambda: self._failure is not None))
        questions = serve_questions(envoy.gateway.socket, admissions, self._collections, envoy.gateway.nonce)
        await stack.enter_async_context(questions)
        if adopted:
            self._listener(GatewayEvent(kind="adopted", text="Envoy was still running and was taken over"))

    async def _show_pages(
        self, stack: AsyncExitStack, listening: Mapping[str, Place], marks: Marks, admissions: Admissions
    ) -> None:
        figures, token = admissions.figures, self._options.http_token
        now = partial(self._info, admissions)
        pages = Pages(self._authority, now, self._healthy, lambda: figures.holding, self._ended.is_set, marks, token)
        place = listening["http"]
        if not is_local(place.host) and not token:
            raise ConfigError(f"the gateway's own page at {place.host!r} can be reached by others, so it needs a token")
        self._http = await stack.enter_async_context(serve_pages(pages.app(), place.host, place.number))
        info = self._info(admissions)
        await anyio.to_thread.run_sync(files.write_json, self._folder.gateway, info.to_json())
        self._listener(GatewayEvent(kind="started", text="", info=info))

    def _readers(self) -> dict[Side, IdReader]:
        found: dict[Side, IdReader] = {}
        for side, endpoint in ((Side.SOURCE, self._migration.source), (Side.TARGET, self._migration.target)):
            spec, _ = configure(endpoint)
            found[side] = id_reader(operations_of(spec), spec.capabilities.ids.kinds)
        return found

    def _see(self, admissions: Admissions, position: Position) -> None:
        """The phase as it is now; the file of the authority follows at once."""
        self._position = position
        admissions.phase = position.phase
        now = self._authority()
        if now != self._shown:
            self._shown = now
            files.write_json(self._folder.authority, now.to_json())

    def _authority(self) -> Authority:
        position = self._position
        assert position is not None
        return Authority(
            migration_id=self._migration.id,
            side=authority(position.phase).value,
            epoch=position.epoch,
            phase=position.phase.value,
            writes="held" if position.phase in FROZEN else "open",
            source=self._migration.source_location,
            target=self._migration.target_location,
        )

    def _info(self, admissions: Admissions) -> GatewayInfo:
        figures = admissions.figures
        return GatewayInfo(
            pid=os.getpid(),
            started=self._started,
            at=utc_text(),
            fail_open=self._options.fail_open,
            http=self._http,
            ports=shown_ports(self._served.values(), self._ports),
            unserved=self._unserved(),
            admitted=figures.admitted,
            refused=figures.refused,
            writes_per_second=round(figures.rate(), 1),
            added_ms_p50=figures.percentile(0.5),
            added_ms_p99=figures.percentile(0.99),
            journal_ms_p99=admissions.journal_ms(0.99),
            held_longest_ms=figures.held_longest_ms,
        )

    async def _write_info(self, admissions: Admissions, marks: Marks) -> None:
        """A disk that does not take it is not the journal's, and no reason to end."""
        while True:
            marks.sweep()
            with suppress(OSError):
                await anyio.to_thread.run_sync(files.write_json, self._folder.gateway, self._info(admissions).to_json())
            await anyio.sleep(INFO_SECONDS)

    def _of_target(self) -> list[Port]:
        return [port for port in self._ports if port.side is Side.TARGET]

    def _unserved(self) -> tuple[str, ...]:
        if self._options.marks_only or self._target_embedded or self._of_target():
            return ()
        return (Side.TARGET.value,)

    def _open_ports(self, found: Serving, listening: Mapping[str, Place]) -> None:
        numbers = {name: (place.host, place.number) for name, place in listening.items()}
        for port in gateway_ports(found, numbers):
            self._ports.append(replace(port, certificate=self._options.certificate))
            asker = Asker(port.upstream)
            self._askers.append(asker)
            self._collections[port.name] = replace(found.collection, asker=asker)

    async def _stop_asking(self) -> None:
        for asker in self._askers:
            await asker.close()

    async def _follow_target(self) -> None:
        """Until the target exists: what its requests touch can be read from then on, and one that got its address only
        now has ports from now on."""
        while not self._target_embedded and (Side.TARGET not in self._served or not self._served[Side.TARGET].complete):
            await anyio.sleep(TARGET_SECONDS)
            with suppress(VectorMigrateError):
                found = await serving(Side.TARGET, self._migration.target)
                if found is not None:
                    await self._take(found)

    async def _take(self, found: Serving) -> None:
        self._served[Side.TARGET] = found
        for port in self._of_target():
            before = self._collections.get(port.name)
            asker = before.asker if before is not None else None
            self._collections[port.name] = replace(found.collection, asker=asker)
        if self._envoy is not None and not self._of_target():
            self._open_ports(found, self._places())
            await anyio.to_thread.run_sync(self._envoy.set_late, self._of_target())
            self._listener(GatewayEvent(kind="ports", text="the target has an address by now, and ports"))

    def _healthy(self) -> bool:
        return self._failure is None and not self._tainted

    def _thawed(self, phase: LivePhase) -> None:
        text = f"writes were held for longer than they may be in phase {phase.value}; they are admitted again"
        self._listener(GatewayEvent(kind="thawed", text=text))

    def _journal_failed(self, error: JournalError) -> None:
        """From the thread that writes the journal."""
        self._loop.call_soon_threadsafe(self._keeping_failed, error)

    def _keeping_failed(self, error: JournalError) -> None:
        if self._options.fail_open:
            self._taint(str(error))
        elif self._failure is None:
            self._failure = error
            self._ended.set()

    def _taint(self, reason: str) -> None:
        """Before a write is forwarded that no journal has: the note must be on the disk, if anything can be."""
        if not self._tainted:
            self._tainted = True
            kept = files.note_taint(self._folder, reason)
            where = "" if kept else "; not even this could be written down"
            self._listener(
                GatewayEvent(kind="tainted", text=f"writes are forwarded without the journal: {reason}{where}")
            )
