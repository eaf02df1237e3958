-- The start gate: what is released waits in a queue until it has a turn, and nothing of it has run until then.

alter table workflow add column queued boolean not null default false;      -- whether it waits for its turn to start

alter table workflow drop constraint workflow_status_known;
alter table workflow add constraint workflow_status_known
    check (status in ('pending_approval', 'queued', 'executing', 'completed', 'failed', 'outcome_unknown', 'rejected', 'cancelled', 'expired'));

-- What a restart puts back into the queue.
create index workflow_queued on workflow (workflow_id) where queued;
