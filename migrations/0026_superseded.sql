-- What becomes of a request whose place another task of its requester takes, and what was rejected a short time ago.

-- Whether nothing can follow.
create or replace function is_final(status text) returns boolean language sql immutable
    return status in ('completed', 'failed', 'rejected', 'cancelled', 'expired', 'superseded');

alter table workflow drop constraint workflow_sound;
alter table workflow add constraint workflow_sound check (
    version > 0
    and status in ('pending_approval', 'queued', 'executing', 'completed', 'failed', 'outcome_unknown', 'rejected', 'cancelled', 'expired',
                   'superseded')
    and risk_level in ('low', 'medium', 'high', 'critical')
    and approval_status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')
    and (approval_status = 'pending') = (resolved_at is null)
);

alter table notice drop constraint notice_kind_known;
alter table notice add constraint notice_kind_known
    check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.decided', 'approval.expired',
                    'workflow.cancelled', 'workflow.superseded', 'workflow.executing', 'workflow.succeeded', 'workflow.failed',
                    'workflow.report_overdue', 'workflow.outcome_unknown'));

-- What a requester was told no to, the newest first: asked for each task of a level that remembers rejections. Nothing else is in it, so that
-- only a rejection pays for it.
create index workflow_rejected on workflow (requested_by, digest, resolved_at desc) where status = 'rejected';
