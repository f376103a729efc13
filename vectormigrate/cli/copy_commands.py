"""The commands that move data or halt it: migrate, resume, stop, each from flags to a call of `verbs_run`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from vectormigrate.cli import options as opt
from vectormigrate.cli.errors import Failure, print_failure
from vectormigrate.cli.inputs import Common, Job, LiveFlags, Pace, Place, What, comparison_of, renames_of
from vectormigrate.cli.run import run_verb


def migrate(
    migration_id: opt.Id,
    source: opt.SourceConnection = None,
    source_type: opt.SourceType = None,
    source_url: opt.SourceUrl = None,
    source_api_key: opt.SourceKey = None,
    source_index: opt.SourceIndex = None,
    source_option: opt.SourceOption = None,
    target: opt.TargetConnection = None,
    target_type: opt.TargetType = None,
    target_url: opt.TargetUrl = None,
    target_api_key: opt.TargetKey = None,
    target_index: opt.TargetIndex = None,
    target_option: opt.TargetOption = None,
    namespace: opt.Namespaces = None,
    rename: opt.Renames = None,
    exclude: opt.Excludes = None,
    vector: opt.Vectors = None,
    accept_loss: opt.AcceptLoss = None,
    plain: opt.Plain = False,
    into_existing: opt.IntoExisting = False,
    overwrite: opt.Overwrite = False,
    min_similarity: opt.MinSimilarity = 0.98,
    profile_limit: opt.ProfileLimit = None,
    fresh: opt.Fresh = False,
    partitions: opt.Partitions = None,
    dry_run: opt.DryRun = False,
    live: opt.Live = False,
    fenced: opt.Fenced = False,
    one_way: opt.OneWay = False,
    source_deadline: opt.SourceDeadline = None,
    target_deadline: opt.TargetDeadline = None,
    lag_limit: opt.LagLimit = None,
    hook: opt.Hook = None,
    journal: opt.Journal = None,
    detach: opt.Detach = False,
    batch_size: opt.BatchSize = None,
    max_retries: opt.MaxRetries = None,
    validate_every: opt.ValidateEvery = None,
    concurrency: opt.Concurrency = None,
    rate_limit: opt.RateLimit = None,
    max_rejects: opt.MaxRejects = None,
    no_wait: opt.NoWait = False,
    wait: opt.Wait = 0.0,
    then_validate: opt.ThenValidate = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Copy a collection to another database.

    The plan comes first: a loss that nobody accepted stops it before anything is written.
    Ctrl-C stops after the batch in flight; `resume` continues exactly there, and so does the same command again.
    """
    common = Common(state=state, config=config, as_json=as_json)
    job = Job(wait=wait, validate=comparison_of(then_validate))
    if detach and not dry_run:
        return _detach(common, migration_id)
    from vectormigrate.cli import verbs_run

    verb = partial(
        verbs_run.migrate,
        common,
        migration_id,
        Place(
            side="source",
            connection=source,
            type=source_type,
            url=source_url,
            key=source_api_key,
            index=source_index,
            options=tuple(source_option or ()),
        ),
        Place(
            side="target",
            connection=target,
            type=target_type,
            url=target_url,
            key=target_api_key,
            index=target_index,
            options=tuple(target_option or ()),
        ),
        What(
            namespaces=tuple(namespace) if namespace else None,
            partitions=partitions,
            renames=renames_of(rename or ()),
            excludes=tuple(exclude or ()),
            vectors=tuple(vector or ()),
            accepted_losses=tuple(accept_loss or ()),
            plain=plain,
            into_existing=into_existing,
            overwrite=overwrite,
            min_similarity=min_similarity,
            profile_limit=profile_limit,
            fresh=fresh,
        ),
        Pace(
            batch_size=batch_size,
            max_retries=max_retries,
            validate_every=validate_every,
            concurrency=concurrency,
            rate_limit=rate_limit,
            max_rejects=max_rejects,
            no_wait=no_wait,
        ),
        LiveFlags(
            live=live,
            journal=journal,
            fenced=fenced,
            one_way=one_way,
            source_deadline=source_deadline,
            target_deadline=target_deadline,
            lag_limit=lag_limit,
            hook=hook,
        ),
        job,
        dry_run=dry_run,
    )
    return run_verb(verb)


def resume(
    migration_id: opt.Id,
    retry_rejects: opt.RetryRejects = False,
    batch_size: opt.BatchSize = None,
    max_retries: opt.MaxRetries = None,
    validate_every: opt.ValidateEvery = None,
    concurrency: opt.Concurrency = None,
    rate_limit: opt.RateLimit = None,
    max_rejects: opt.MaxRejects = None,
    no_wait: opt.NoWait = False,
    detach: opt.Detach = False,
    source_api_key: opt.SourceKey = None,
    target_api_key: opt.TargetKey = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Resume a migration that was stopped, failed or killed.

    The stored plan is used unchanged; flags given here replace the stored ones.
    """
    common = Common(state=state, config=config, as_json=as_json)
    if detach:
        return _detach(common, migration_id)
    from vectormigrate.cli import verbs_run

    pace = Pace(
        batch_size=batch_size,
        max_retries=max_retries,
        validate_every=validate_every,
        concurrency=concurrency,
        rate_limit=rate_limit,
        max_rejects=max_rejects,
        no_wait=no_wait,
        retry_rejects=retry_rejects,
    )
    return run_verb(partial(verbs_run.resume, common, migration_id, pace, source_api_key, target_api_key))


def stop(
    migration_id: opt.Id,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", min=0.0, help="Seconds to wait for it.")] = 60.0,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Stop a migration that runs in another process.

    It finishes the batch in flight and can be resumed.
    """
    from vectormigrate.cli import verbs_run

    return run_verb(partial(verbs_run.stop, Common(state=state, config=config, as_json=as_json), migration_id, timeout))


def _detach(common: Common, migration_id: str) -> int:
    """Run this command again in the background, and say how to follow it."""
    from vectormigrate.cli import detach
    from vectormigrate.cli.common import settings_of
    from vectormigrate.cli.render.console import document, pairs, show

    log = settings_of(common).state.absolute().parent / f"{migration_id}.log"
    pid, failure = detach.start(sys.argv[1:], log)
    if isinstance(failure, Failure):
        return print_failure(failure, common.as_json)
    follow = common.command("status", migration_id, "--watch")
    if common.as_json:
        document({"id": migration_id, "pid": pid, "log": str(log), "follow": follow})
        return 0
    show(f"{migration_id} runs in the background, process {pid}")
    show(pairs([("log", str(log)), ("follow", follow), ("stop", common.command("stop", migration_id))]))
    return 0
