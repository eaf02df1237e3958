-- Parks workflows by the thousand: copies of three that were submitted, each with an id and times of its own. A thousandth
-- is critical, a fifth of medium risk, the rest high. For the benchmark alone.
create function pg_temp.fill(p_from integer, p_to integer, p_medium uuid, p_high uuid, p_critical uuid) returns void language plpgsql as $$
begin
    create temp table copy on commit drop as
    select case when n % 1000 = 0 then p_critical when n % 5 = 0 then p_medium else p_high end as source,
           -- A UUID of version 7: milliseconds first.
           (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 3)
            || substr(noise, 7, 12))::uuid as workflow_id,
           at
    from (select n, md5(n::text || random()::text) as noise, clock_timestamp() - (p_to - n) * interval '100 microseconds' as at
          from generate_series(p_from, p_to) as n) as numbered;
    analyze copy;

    insert into workflow (workflow_id, version, status, risk_level, action, task_id, requested_by, on_behalf_of, digest, created_at,
                          updated_at)
    select c.workflow_id, w.version, w.status, w.risk_level, w.action, w.task_id, w.requested_by, w.on_behalf_of, w.digest, c.at, c.at
    from copy c join workflow w on w.workflow_id = c.source order by c.at;

    insert into workflow_event (workflow_id, version, kind, actor, at, data)
    select c.workflow_id, e.version, e.kind, e.actor, c.at, e.data
    from copy c join workflow_event e on e.workflow_id = c.source order by c.at, e.version;

    insert into payload (workflow_id, document)
    select c.workflow_id, p.document from copy c join payload p on p.workflow_id = c.source order by c.at;

    insert into approval_requests (workflow_id, task_id, risk_level, description, requested_by, requested_at, approvers, timeout_at,
                                   metadata, status, on_behalf_of, digest, required, approvals, approved_by, separation_of_duties,
                                   open_roles, escalation_level, timetable, expires_at)
    select c.workflow_id, r.task_id, r.risk_level, r.description, r.requested_by, c.at, r.approvers,
           c.at + (r.timeout_at - r.requested_at), r.metadata, r.status, r.on_behalf_of, r.digest, r.required, r.approvals,
           r.approved_by, r.separation_of_duties, r.open_roles, r.escalation_level, r.timetable,
           c.at + (r.expires_at - r.requested_at)
    from copy c join approval_requests r on r.workflow_id = c.source order by c.at;
end
$$;
