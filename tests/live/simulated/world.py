"""One live migration from its beginning to its end: the product's own code, around which everything misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.live.simulated.application import Kind, Operation, Told, judge
from tests.live.simulated.database import CYCLE, LATENCY, LIFE, Database, Faults, Record
from tests.live.simulated.gateway import Gateway, Refused
from tests.live.simulated.no_threads import no_threads
from tests.live.simulated.template import OPTIONS, Template
from tests.live.virtual import Process, run
from vectormigrate.adapters.memory import SPEC
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.journal.records import Position
from vectormigrate.capture.journal.touched import TouchedKeys, covered_by
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import ENDED, LivePhase, authority
from vectormigrate.capture.running.live_run import LiveRun
from vectormigrate.capture.running.proving import make_prover
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import ignore
from vectormigrate.engine.retry import RetryingTarget, RetryPolicy
from vectormigrate.engine.runner import run_migration
from vectormigrate.engine.throttle import AdaptiveLimiter
from vectormigrate.errors import VectorMigrateError
from vectormigrate.model import clock
from vectormigrate.model.live import OrderVerb, Pace, SwitchOptions
from vectormigrate.model.plan import RunOptions
from vectormigrate.state.store import Store, open_store
from vectormigrate.validation.validate import read_back_check

P = LivePhase
ASSIGNED = 1000
"""Ids from here on are made by a database."""

LIMIT = 300.0
"""Seconds in which a migration has to come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens in one seed."""

    faults: Faults
    kills_runner: float = 0.0
    """Seconds between two deaths of the runner, on the average; 0: none."""
    kills_gateway: float = 0.0
    clients: int = 3
    busy: float = 2.0
    """Seconds of each cycle in which there are many writes."""
    filters: float = 0.0
    """Share of writes that do not name their records."""
    slows: bool = False
    """The copy waits between reading and writing, while changes are applied."""
    reverses: bool = True
    again: bool = False
    """Cuts over once more after the way back."""
    ends: OrderVerb | None = None


class World:
    """Everything of one seed."""

    def __init__(self, template: Template, seed: int, script: Script) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.script = script
        self.template = template
        self.folder = template.folder
        self.options = OPTIONS
        self.source = Database(self.chance, script.faults, template.schema, dict(template.records))
        self.target = Database(self.chance, script.faults)
        self.ideal: dict[Key, Record] = dict(template.records)
        """What the application did, in the order in which it took effect."""
        self.history: list[Operation] = []
        self.wrong: list[str] = []
        self.trace = hashlib.blake2b(digest_size=8)
        self.runner: Process | None = None
        self.dead: list[Process] = []
        self.calm = False
        """Nothing is killed any more."""
        self.quiet = False
        """The operator has asked the application to write little, because a switch did not come through."""
        self.done = False
        """The application writes no more."""
        self.over = False
        self.followed = Side.SOURCE
        self.failures: list[str] = []
        self.forward_first = False
        self.forgets_doubts = False

    def side(self, side: Side) -> Database:
        return self.source if side is Side.SOURCE else self.target

    def position(self) -> Position:
        with self.look.snapshot():
            return position(self.look)

    # The application and what it does to the databases.

    async def forward(self, operation: Operation, side: Side) -> None:
        """As the gateway: raises what the database answers."""
        if self.chance.random() < self.script.faults.refused:
            await asyncio.sleep(self.chance.random() * LATENCY)
            raise Refused
        await self.side(side).serve(lambda: self._take_effect(operation, side), writes=True)

    def _take_effect(self, operation: Operation, side: Side) -> None:
        now = self.position()
        if authority(now.phase) is not side:
            self.wrong.append(f"write {operation.number} took effect on the {side} in phase {now.phase}")
        operation.took_effect_on.add(side)
        database = self.side(side)
        if side is not self.followed:
            self.followed = side
            self._compare(f"when the {side} was written to first", database)
        self.note("effect", operation.number, side)
        for key, record in operation.effect(database.records).items():
            database.put(key, record)
        for key, record in operation.effect(self.ideal).items():
            if record is None:
                self.ideal.pop(key, None)
            else:
                self.ideal[key] = record

    def note(self, *what: object) -> None:
        """Something that a repetition of the seed must do at the same moment."""
        self.trace.update(f"{asyncio.get_running_loop().time():.6f} {what}\n".encode())

    def _compare(self, when: str, database: Database) -> None:
        keys = database.records.keys() | self.ideal.keys()
        differ = [key for key in keys if database.records.get(key) != self.ideal.get(key)]
        name = Side.SOURCE if database is self.source else Side.TARGET
        self.wrong += [
            f"{when}, {key} of the {name} is {database.records.get(key)}, not {self.ideal.get(key)}"
            for key in sorted(differ, key=str)
        ]

    async def client(self) -> None:
        """Times of many writes and times of few, for all clients alike, until the operator has done everything: with
        many at all times nothing would ever be settled."""
        chance, side = self.chance, Side.SOURCE
        while not self.done:
            await asyncio.sleep(chance.random() * 0.8)
            busy = not self.quiet and asyncio.get_running_loop().time() % CYCLE < self.script.busy
            busy = busy or self.position().phase is P.BACKFILL
            for _ in range(chance.randint(1, 5) if busy else chance.random() < 0.15):
                await asyncio.sleep(chance.random() * 0.1)
                side = await self._write(side)

    async def _write(self, side: Side) -> Side:
        """One operation; returns the side that takes writes, as far as its client knows then."""
        return await self.send(self.draw(self.script.filters), side)

    async def send(self, operation: Operation, side: Side) -> Side:
        """As a client that knows this side; returns the one that takes writes, as far as it knows then."""
        self.history.append(operation)
        told = Told.FAILED
        while not self.over:
            gateway = self.gateway
            if gateway.admissions is None:
                await asyncio.sleep(0.3)
                continue
            operation.began = asyncio.get_running_loop().time()
            told, moved = await gateway.ask(operation, side)
            if not moved:
                break
            side = side.other
        operation.told = told
        if told is not Told.UNKNOWN:
            operation.ended = asyncio.get_running_loop().time()
        self.note("told", operation.number, told)
        return side

    def draw(self, filters: float) -> Operation:
        """Any operation."""
        chance = self.chance
        number = 100 + len(self.history)
        if chance.random() < filters:
            kind = chance.choice((Kind.DELETE_FILTER, Kind.PART_FILTER, Kind.INSERT))
        else:
            kind = chance.choice((Kind.UPSERT, Kind.UPSERT, Kind.UPSERT, Kind.PART, Kind.DELETE, Kind.DELETE))
        ids = [ASSIGNED + number] if kind is Kind.INSERT else chance.sample(range(4), chance.randint(1, 2))
        return Operation(
            number=number,
            kind=kind,
            namespace=chance.choice(("", "b")),
            ids=() if kind in (Kind.DELETE_FILTER, Kind.PART_FILTER) else ids,
            rest=chance.randrange(3),
            names_namespace=chance.random() < 0.8,
        )

    # The processes.

    async def gateways(self) -> None:
        """A gateway, and another one whenever it is killed."""
        while True:
            self.begin_gateway()
            await self._life(self.script.kills_gateway)
            self.gateway.kill()
            self.note("gateway killed")
            await asyncio.sleep(self.chance.random() * 3)

    def begin_gateway(self) -> None:
        self.gateway = Gateway(self)
        self.dead.append(self.gateway.process)
        self.gateway.start()

    def begin_runner(self) -> asyncio.Task[None]:
        self.runner = Process()
        self.dead.append(self.runner)
        self.running = self.runner.start(self._run())
        return self.running

    def runs(self) -> bool:
        """Whether there is a runner."""
        return self.runner is not None and self.runner.alive and not self.running.done()

    def end_runner(self) -> None:
        """Kill it, if it lives. Raises what a run must not end with."""
        if self.runner is None or not self.runner.alive:
            return
        if self.running.done():
            if (error := self.running.exception()) is not None:
                if not isinstance(error, VectorMigrateError):
                    raise error
                self.failures.append(f"{type(error).__name__}: {error}")
        else:
            self.note("runner killed", self.position().phase)
        self.runner.kill()

    async def _life(self, average: float) -> None:
        while True:
            await asyncio.sleep(0.1 + self.chance.random() * 2 * (average or LIMIT))
            if average and not self.calm:
                return

    async def runners(self) -> None:
        """A runner, and another one whenever it is killed or ends with an error."""
        while self.position().phase not in ENDED:
            main = self.begin_runner()
            killer = asyncio.ensure_future(self._life(self.script.kills_runner))
            await asyncio.wait((main, killer), return_when=asyncio.FIRST_COMPLETED)
            killer.cancel()
            self.end_runner()
            await asyncio.sleep(self.chance.random() * 2)

    async def _run(self) -> None:
        """As service/copy.py resumes a live migration."""
        async with open_store(self.template.state) as store:
            stored = await store.migrations.load("m")
            row = await store.live.find("m")
            assert row is not None
            policy = RetryPolicy(max_retries=stored.options.max_retries)
            ends = Ends(
                source=RetryingTarget(self.source, SPEC.classify, policy, AdaptiveLimiter(4)),
                source_adapter="memory",
                target=RetryingTarget(self.target, SPEC.classify, policy, AdaptiveLimiter(4)),
                target_adapter="memory",
            )
            read_back = read_back_check(ends, stored.plan.rules, stored.plan.spec.min_similarity)
            options = RunOptions(batch_size=3, max_retries=3, max_rejects=100)
            work = LiveRun(ends, row, make_prover).work
            await run_migration(store, ends, stored.plan, options, ignore, read_back, lambda: False, work)

    # The operator.

    async def operator(self, store: Store) -> None:
        """From the fence to the end, as the script has it."""
        chance, script = self.chance, self.script
        await self.order(store, OrderVerb.FENCED)
        if script.slows:
            await store.live.set_pace("m", chance.choice((Pace.SLOW, Pace.SLOW, Pace.PAUSED)))
            await asyncio.sleep(LIFE + 1 + chance.random() * 4)
            await store.live.set_pace("m", Pace.FULL)
        await self.reach(lambda: self.position().phase in (P.CATCH_UP, P.READY))
        if chance.random() < 0.2:
            await self.order(store, OrderVerb.CUT_OVER, rehearse=True, once=True)
        await self.switch(store, OrderVerb.CUT_OVER, P.SOAK)
        await asyncio.sleep(chance.random() * 3)
        if script.reverses:
            await self.switch(store, OrderVerb.REVERSE, P.CATCH_UP)
            await asyncio.sleep(chance.random() * 2)
            if script.again:
                await self.switch(store, OrderVerb.CUT_OVER, P.SOAK)

    async def switch(self, store: Store, verb: OrderVerb, until: LivePhase) -> None:
        """Again and again, until it is done."""
        side = authority(self.position().phase)
        while authority(self.position().phase) is side:
            strict = self.chance.random() < 0.3
            await self.order(store, verb, strict=strict, once=True)
            await self.order(store, OrderVerb.ACKNOWLEDGE, once=True)
            self.quiet, self.calm = True, self.quiet
        self.quiet = self.calm = False
        await self.reach(lambda: self.position().phase is not P.FLIPPED)

    async def order(self, store: Store, verb: OrderVerb, *, once: bool = False, **how: bool) -> bool:
        """What became of an order; without `once` it is given until it is done."""
        options = vars_of(SwitchOptions(budget=8.0, **how)) if verb in (OrderVerb.CUT_OVER, OrderVerb.REVERSE) else {}
        while True:
            number = await store.live.ask("m", verb, options)
            while True:
                await asyncio.sleep(0.2)
                found = {each.number: each.answer for each in await store.live.orders("m", unanswered=False)}
                if (answer := found[number]) is not None:
                    break
            self.note(verb, answer["ok"], str(answer.get("text", ""))[:300], str(answer.get("verdict")))
            self.last_answer = f"{verb}: {answer}"
            if answer["ok"] or once:
                return bool(answer["ok"])

    async def reach(self, true: Callable[[], bool]) -> None:
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    def uncovered(self) -> list[str]:
        """Keys on which the sides differ although the journal does not say that they may: live.md's I2. Of the copy
        only what was touched."""
        now = self.position()
        if now.phase in ENDED or now.phase in (P.PREFLIGHT, P.CAPTURING):
            return []
        side = authority(now.phase)
        here, there = self.side(side).records, self.side(side.other).records
        differ = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
        if not differ:
            return []
        keys = TouchedKeys(self.look, side, clock.steady_milliseconds)
        dirty = {each.key for each in keys.dirty(10_000)} | {key for key, _ in keys.parked(10_000)}
        scopes = {scope.namespace for _, scope in keys.scopes()}
        covered = covered_by(self.look, side)
        assigning = keys.figures().under_way > 0  # which may make ids that nobody knows yet
        found: list[str] = []
        for key in sorted(differ, key=str):
            place = self.look.known_place(side, key.namespace)
            touched = bool(keys.ever_touched(key.namespace or "", [key.id]))
            noted = key in dirty or Key(None, key.id) in dirty or not scopes.isdisjoint((None, key.namespace))
            made = assigning and isinstance(key.id, int) and key.id >= ASSIGNED
            if noted or made or covered.has(-1 if place is None else place, key.id):
                continue
            if touched or now.phase is not P.BACKFILL:
                found.append(f"{key} differs in phase {now.phase}: {here.get(key)}, {there.get(key)}, and is not noted")
        return found

    async def watch(self) -> None:
        """Look again and again whether everything that differs is noted; ends when something does not."""
        while not self.wrong:
            await asyncio.sleep(0.3)
            if not self.checked_later():
                self.wrong += self.uncovered()

    def checked_later(self) -> bool:
        """What the databases do here is nothing that the journal could know: the comparisons are there for it
        (capture/applying/witness.py says so of old reads)."""
        return bool(self.script.faults.omitted or self.script.faults.stale)

    def settled(self) -> bool:
        """Nothing is left to do for the runner."""
        now = self.position()
        if now.phase not in (P.CATCH_UP, P.READY, P.SOAK):
            return False
        figures = TouchedKeys(self.look, authority(now.phase), clock.steady_milliseconds).figures()
        return not (figures.dirty or figures.under_way or figures.scopes)

    # All of it.

    async def play(self) -> None:
        """Raises TimeoutError with the reason when it does not come to its end."""
        self.look = connect(self.folder / "journal.db", "m", durable=False)
        background: list[asyncio.Task[None]] = []
        try:
            async with open_store(self.template.state) as store:
                background = [asyncio.ensure_future(work) for work in (self.gateways(), self.runners(), self.watch())]
                main = asyncio.ensure_future(self._main(store))
                done, _ = await asyncio.wait((main, *background), timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
                self.over = True
                self.ended = asyncio.get_running_loop().time()
                if main not in done:
                    main.cancel()
                for task in done:
                    task.result()
                if main not in done and not self.wrong:
                    self.wrong.append(f"stuck in phase {self.position().phase}, {self.why_stuck()}")
        finally:
            self.over = True
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self.clear_away()

    async def clear_away(self) -> None:
        """End everything."""
        for process in self.dead:
            if process.alive:
                process.kill()
            await process.clear_away()
        self.look.close()

    def why_stuck(self) -> str:
        figures = TouchedKeys(self.look, authority(self.position().phase), clock.steady_milliseconds).figures()
        return f"{figures}; {self.failures[-3:]}; {getattr(self, 'last_answer', '')}"

    async def _main(self, store: Store) -> None:
        clients = [asyncio.ensure_future(self.client()) for _ in range(self.script.clients)]
        try:
            await self.operator(store)
            self.done = True
            await asyncio.gather(*clients)
        finally:
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        self.calm = True
        await self.reach(self.settled)
        await asyncio.sleep(2 * LIFE)
        await self.reach(self.settled)
        if self.script.ends is not None:
            await self.order(store, self.script.ends)
        self.judge()

    def judge(self, *, ended: bool = False) -> None:
        """What is wrong at the end; `ended`: only the side that has the authority is kept up to date."""
        for side in (authority(self.position().phase),) if ended else Side:
            self._compare("at the end", self.side(side))
        self.wrong += judge(self.history, self.ideal)
        if not self.checked_later():
            # Equal in the end is not enough: the checks are there for what is not foreseen.
            rows = [row for side in Side for row in self.look.rows("divergences", side.value, 5)]
            self.wrong += [f"found by a check alone: {row}" for row in rows]
        self.wrong += [f"write {i.number} took effect on both sides" for i in self.history if len(i.took_effect_on) > 1]


def vars_of(options: SwitchOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in ("strict", "pause", "budget", "rehearse", "postpone")}


def script_of(seed: int) -> Script:
    """A seed's own mixture of what goes wrong."""
    chance = random.Random(f"script {seed}")
    calm = Faults(lost=0, late=0, slow=0, limited=0, broken=0, refused=0, repeated=0)
    faults = chance.choice((calm, Faults(), Faults(), Faults(lost=0.15, late=0.15), Faults(stale=0.3)))
    if chance.random() < 0.1:
        faults = replace(faults, omitted=0.2)
    reverses = chance.random() < 0.6
    return Script(
        faults=faults,
        kills_runner=chance.choice((0, 0, 6, 12)),
        kills_gateway=chance.choice((0, 0, 8, 16)),
        busy=chance.choice((1, 2, 3)),
        filters=chance.choice((0, 0, 0.03, 0.1)),
        slows=chance.random() < 0.2,
        reverses=reverses,
        again=reverses and chance.random() < 0.4,
    )


def simulate(
    template: Template, seed: int, script: Script | None = None, change: Callable[[World], object] = lambda world: None
) -> World:
    """The world after its end."""
    template.renew()
    world = World(template, seed, script or script_of(seed))
    change(world)
    with no_threads(world.chance):
        run(world.play())
    return world
