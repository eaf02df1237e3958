-- The requests for approval, settled and unsettled, with the words of the task: for people and their tools.

create view approval_requests as
select w.workflow_id, w.task_id, w.risk_level,
       task.document ->> 'description' as description,       -- the requester's words
       w.requested_by, w.requested_at, w.approvers, w.timeout_at,
       coalesce(task.document -> 'metadata', '{}') as metadata,
       w.approval_status as status, w.resolved_by, w.resolved_at, w.resolution_note,
       w.on_behalf_of, w.digest, w.required, w.approvals, w.approved_by, w.open_roles, w.escalation_level, w.timetable, w.expires_at
from workflow w
cross join lateral (select convert_from(e.document, 'UTF8')::jsonb as document
                    from workflow_event e where e.workflow_id = w.workflow_id and e.version = 1) task
where w.approval_status is not null;

-- The levels and sets of roles at which something waits: one look into the index for each, however much waits there.
create view pending_place as
with recursive place as (
    (select w.risk_level, w.approvers from workflow w
     where w.approval_status = 'pending' order by w.risk_level, w.approvers limit 1)
    union all
    select following.risk_level, following.approvers
    from place cross join lateral (
        select w.risk_level, w.approvers from workflow w
        where w.approval_status = 'pending' and (w.risk_level, w.approvers) > (place.risk_level, place.approvers)
        order by w.risk_level, w.approvers limit 1
    ) following
)
select risk_level, approvers from place;
