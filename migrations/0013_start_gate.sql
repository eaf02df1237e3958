-- The start gate: what is released waits in a queue until it has a turn, and nothing of it has run until then.

alter table workflow add column queued boolean not null default false;      -- whether it waits for its turn to start

alter table workflow drop constraint workflow_status_known;
alter table workflow add constraint workflow_status_known
    check (status in ('pending_approval', 'queued', 'executing', 'completed', 'failed', 'outcome_unknown', 'rejected', 'cancelled', 'expired'));

-- What a restart puts back into the queue.
create index workflow_queued on workflow (workflow_id) where queued;

-- External actions that are released and not reported: when the requester is asked to report, or nobody knows any more how it went.
alter table workflow add column report_due_at timestamptz;
update workflow set report_due_at = updated_at + interval '24 hours' where status = 'executing' and action = 'external';
create index workflow_report_due on workflow (report_due_at) where report_due_at is not null;

alter table notice drop constraint notice_kind_known;
alter table notice add constraint notice_kind_known
    check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.decided', 'approval.expired',
                    'workflow.cancelled', 'workflow.executing', 'workflow.succeeded', 'workflow.failed', 'workflow.report_overdue',
                    'workflow.outcome_unknown'));
