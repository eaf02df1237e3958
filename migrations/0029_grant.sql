-- Standing grants: a yes that a person gives in advance, to a narrow kind of request, for a while.
--
-- A use is counted in the transaction that opens the request which it lets pass, so the two cannot part, whatever crashes. Whoever relies on a
-- grant, to let a request pass or to start what it let pass, shares a lock on its row; whoever revokes it holds that row alone. So what relies
-- on a grant is written before the grant is revoked, or not at all. The count has a row of its own: uses wait for each other, starts do not.

-- What was given, by whom and why. It is kept, whatever is pruned.
create table standing_grant (
    grant_id      uuid        not null,
    -- Who asks for what it speaks of.
    requester     text        not null,
    -- What it lets pass, as JSON.
    terms         text        not null,
    given_by      text        not null,
    roles         text[]      not null,
    via           text        not null,
    justification text        not null,
    given_at      timestamptz not null,
    expires_at    timestamptz not null,
    -- The bounds, as the terms have them.
    uses          integer     not null,
    cost          bigint,                   -- millionths of a dollar
    -- Over all of the above but `given_at`, with the server's secret key.
    seal          bytea       not null,
    revoked_by    text,
    revoked_via   text,
    revoked_at    timestamptz,
    revoke_reason text,
    constraint standing_grant_pkey primary key (grant_id)
);

create index standing_grant_unended on standing_grant (expires_at) where revoked_at is null;

-- How much of each is used up.
create table grant_count (
    grant_id uuid    not null,
    used     integer not null default 0,
    spent    bigint  not null default 0,    -- millionths of a dollar
    constraint grant_count_pkey primary key (grant_id)
);

-- A grant changes once, when it is revoked.
create function refuse_change_of_grant() returns trigger language plpgsql as $$
begin
    if old.revoked_at is not null or new.revoked_at is null
       or (old.grant_id, old.requester, old.terms, old.given_by, old.roles, old.via, old.justification, old.given_at, old.expires_at, old.uses, old.seal)
          is distinct from
          (new.grant_id, new.requester, new.terms, new.given_by, new.roles, new.via, new.justification, new.given_at, new.expires_at, new.uses, new.seal)
       or old.cost is distinct from new.cost then
        raise exception 'a grant is only ever revoked, and that once';
    end if;
    return new;
end
$$;

create trigger standing_grant_is_revoked_once before update on standing_grant for each row execute function refuse_change_of_grant();
create trigger standing_grant_stays before delete or truncate on standing_grant for each statement execute function refuse_change();

-- Each grant with what is used up of it.
create view grant_as_used as select g.*, c.used, c.spent from standing_grant g join grant_count c using (grant_id);

-- Gives a grant, once for each id. Nothing is given, and nothing returned, where its giver is suspended.
create function give_grant(p_grant_id uuid, p_requester text, p_terms text, p_given_by text, p_roles text[], p_via text, p_justification text,
                           p_expires_at timestamptz, p_uses integer, p_cost bigint, p_seal bytea)
    returns setof grant_as_used language plpgsql as $$
begin
    if exists (select from suspension s where s.restored_at is null and s.name = lower(p_given_by)) then
        return;
    end if;
    insert into standing_grant (grant_id, requester, terms, given_by, roles, via, justification, given_at, expires_at, uses, cost, seal)
    values (p_grant_id, p_requester, p_terms, p_given_by, p_roles, p_via, p_justification, clock_timestamp(), p_expires_at, p_uses, p_cost, p_seal)
    on conflict do nothing;
    insert into grant_count (grant_id) values (p_grant_id) on conflict do nothing;
    return query select g.* from grant_as_used g where g.grant_id = p_grant_id;
end
$$;

-- Revokes a grant, once. Nothing is returned where there is none, or where whoever revokes it is suspended.
create function revoke_grant(p_grant_id uuid, p_by text, p_via text, p_reason text) returns setof grant_as_used language plpgsql as $$
begin
    if exists (select from suspension s where s.restored_at is null and s.name = lower(p_by)) then
        return;
    end if;
    update standing_grant g
    set revoked_by = p_by, revoked_via = p_via, revoked_at = clock_timestamp(), revoke_reason = p_reason
    where g.grant_id = p_grant_id and g.revoked_at is null;
    return query select g.* from grant_as_used g where g.grant_id = p_grant_id;
end
$$;

-- Whether a grant has not been revoked; it is not revoked before this transaction ends.
create function grant_stands(p_grant_id uuid) returns boolean language plpgsql volatile as $$
begin
    perform from standing_grant g where g.grant_id = p_grant_id and g.revoked_at is null for share;
    return found;
end
$$;

-- Counts one more use of a grant, if it still lets one pass.
create function use_grant(p_grant_id uuid, p_cost bigint) returns boolean language plpgsql as $$
begin
    if not grant_stands(p_grant_id) then
        return false;
    end if;
    update grant_count c
    set used = c.used + 1, spent = c.spent + p_cost
    from standing_grant g
    where c.grant_id = p_grant_id and g.grant_id = p_grant_id and g.expires_at > clock_timestamp()
      and c.used < g.uses and (g.cost is null or c.spent + p_cost <= g.cost)
      and not exists (select from suspension s where s.restored_at is null and s.name = lower(g.given_by));
    return found;
end
$$;

alter table notice drop constraint notice_kind_known;
alter table notice add constraint notice_kind_known
    check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.expiring', 'approval.decided', 'approval.granted',
                    'approval.expired', 'workflow.cancelled', 'workflow.superseded', 'workflow.asked', 'workflow.answered', 'workflow.executing',
                    'workflow.succeeded', 'workflow.failed', 'workflow.report_overdue', 'workflow.outcome_unknown'));

-- What lets a request pass that is opened: the grant, what the request adds to its sum, who gave it and why.
alter type workflow_opening add attribute grant_id uuid, add attribute grant_cost bigint, add attribute granted_by text, add attribute grant_note text;
-- The grant that what is started relies on.
alter type workflow_advance add attribute grant_id uuid;

drop function open_workflows(workflow_opening[], logged_event[], planned_notice[], boolean, boolean, boolean);
drop function advance_workflows(workflow_advance[], logged_event[], planned_notice[], boolean);

-- What is said of it above each earlier text holds. `p_granted` says whether a row has a grant. A row whose grant does not let it pass is
-- `ungranted`: nothing of it is written, its key neither.
create function open_workflows(p_row workflow_opening[], p_event logged_event[], p_notice planned_notice[], p_keyed boolean, p_again boolean, p_begins boolean, p_granted boolean)
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at      timestamptz;
    v_order   bigint;
    v_keyed   uuid[];
    v_there   uuid[] := '{}';
    v_opened  uuid[];
    v_busy    uuid[] := '{}';
    v_timeout text := current_setting('lock_timeout');
    v_row     record;
    v_held    idempotency_key;
    v_later   uuid[] := '{}';       -- the rows that are not written now
    v_used    uuid[] := '{}';       -- those that their grant lets pass
    v_refused uuid[] := '{}';       -- those that it does not
begin
    if p_begins then
        if start_gate_is_open() then
            v_later := array(select i.workflow_id from unnest(p_row) as i where is_held(i.begins_in, i.begins_before, clock_timestamp()));
        else
            v_busy := array(select i.workflow_id from unnest(p_row) as i where i.begins_in is not null);
            v_later := v_busy;
        end if;
    end if;
    if p_again then
        v_there := array(select w.workflow_id from workflow w where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)));
    end if;
    if p_granted then
        for v_row in select i.workflow_id, i.grant_id, i.grant_cost
                     from unnest(p_row) as i
                     where i.grant_id is not null and i.workflow_id <> all (v_there || v_later)
                     order by i.grant_id, i.workflow_id loop     -- one order for all, as below
            if use_grant(v_row.grant_id, v_row.grant_cost) then
                v_used := v_used || v_row.workflow_id;
            else
                v_refused := v_refused || v_row.workflow_id;
            end if;
        end loop;
        v_later := v_later || v_refused;
    end if;
    if p_keyed then
        begin
            perform set_config('lock_timeout', '20ms', true);
            with keyed as (
                insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                select i.requested_by, i.key, i.fingerprint, i.workflow_id, clock_timestamp()
                from unnest(p_row) as i
                where i.key is not null and i.workflow_id <> all (v_later)
                order by i.requested_by, i.key  -- one order for all, so that two batches cannot wait for each other
                on conflict do nothing
                returning workflow_id
            )
            select coalesce(array_agg(keyed.workflow_id), '{}') into v_keyed from keyed;
        exception when lock_not_available then
            -- Another transaction has written one of these keys and has not ended. Now one by one, so that only its row is `busy`.
            v_keyed := '{}';
            for v_row in select i.requested_by as principal, i.key, i.fingerprint, i.workflow_id
                         from unnest(p_row) as i
                         where i.key is not null and i.workflow_id <> all (v_later)
                         order by i.requested_by, i.key loop
                if (v_row.principal, v_row.key) is not distinct from (v_held.principal, v_held.key) then
                    v_busy := v_busy || v_row.workflow_id;
                    continue;
                end if;
                begin
                    perform set_config('lock_timeout', '2ms', true);
                    insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                    values (v_row.principal, v_row.key, v_row.fingerprint, v_row.workflow_id, clock_timestamp())
                    on conflict do nothing;
                    if found then
                        v_keyed := v_keyed || v_row.workflow_id;
                    end if;
                exception when lock_not_available then
                    v_held := v_row;
                    v_busy := v_busy || v_row.workflow_id;
                end;
            end loop;
        end;
        perform set_config('lock_timeout', v_timeout, true);
    end if;
    if p_granted and p_keyed then
        -- What is a duplicate after all has used nothing.
        update grant_count c set used = c.used - back.uses, spent = c.spent - back.cost
        from (select i.grant_id, count(*)::integer as uses, sum(i.grant_cost)::bigint as cost from unnest(p_row) as i
              where i.workflow_id = any (v_used) and i.key is not null and i.workflow_id <> all (v_keyed) group by i.grant_id) back
        where c.grant_id = back.grant_id;
    end if;
    v_at := clock_timestamp();
    -- Locked before its order is read: who follows the log sees by this lock who may still write (0018_reading.sql).
    lock table workflow_event in row exclusive mode;
    -- As `feed_order()` has it, which would be planned anew by each batch.
    select b.base + greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) into v_order from feed_base b;

    with opened as (
        insert into workflow as w (workflow_id, version, seal, status, risk_level, action, queued, running, task_id, requested_by, on_behalf_of, digest, target,
                                   created_at, updated_at, approval_status, requested_at, approvers, separation_of_duties,
                                   required, approvals, escalation_level, timetable, timeout_at, expires_at, report_due_at,
                                   open_roles, approved_by, resolved_by, resolved_at, resolution_note)
        select i.workflow_id, i.version, i.seal, i.status, i.risk_level, i.action, i.status = 'queued',
               i.status = 'executing' and i.action <> 'external', i.task_id,
               i.requested_by, i.on_behalf_of, i.digest, i.target, v_at, v_at,
               case when i.grant_id is not null then 'approved' when i.approvers is not null then 'pending' end, case when i.approvers is not null then v_at end,
               i.approvers, i.separation, i.required,
               case when i.grant_id is not null then 1 when i.approvers is not null then 0 end, case when i.approvers is not null then 0 end, i.timetable,
               v_at + make_interval(secs => i.timeout_after), v_at + make_interval(secs => i.expire_after), v_at + make_interval(secs => i.report_after),
               case when i.grant_id is not null then '{}'::text[] end, case when i.grant_id is not null then array[i.granted_by] end,
               i.granted_by, case when i.grant_id is not null then v_at end, i.grant_note
        from unnest(p_row) as i
        where (i.key is null or i.workflow_id = any (v_keyed)) and i.workflow_id <> all (v_there) and i.workflow_id <> all (v_later)
        returning w.workflow_id
    )
    select coalesce(array_agg(opened.workflow_id), '{}') into v_opened from opened;

    insert into document (workflow_id, round, content)
    select i.workflow_id, 1, i.document
    from unnest(p_row) as i
    where cardinality(v_opened) = cardinality(p_row) or i.workflow_id = any (v_opened);

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, v_order
    from unnest(p_event) as e
    where cardinality(v_opened) = cardinality(p_row) or e.workflow_id = any (v_opened);

    if p_notice <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(p_notice) as n
        where n.workflow_id = any (v_opened);
    end if;

    return query select null::bigint, null::text, cardinality(v_opened), v_at;
    if cardinality(v_opened) < cardinality(p_row) then
        return query
        select i.ordinality,
               case when i.workflow_id = any (v_busy) then 'busy'
                    when i.workflow_id = any (v_refused) then 'ungranted'
                    when i.workflow_id = any (v_later) then 'held'
                    when i.key is not null and i.workflow_id <> all (v_keyed) then 'duplicate'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        where i.workflow_id <> all (v_opened);
    end if;
end
$$;

-- What is said of it above each earlier text holds. A row that begins to run is not written where the grant that it relies on was revoked.
create function advance_workflows(p_row workflow_advance[], p_event logged_event[], p_notice planned_notice[], p_begins boolean)
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at       timestamptz;
    v_order    bigint;
    v_locked   uuid[];
    v_whole    boolean;     -- whether every row is locked, as nearly always
    v_advanced uuid[];
    v_open     boolean := false;
begin
    v_locked := array(
        select w.workflow_id from workflow w
        where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)) order by w.workflow_id for no key update skip locked);
    v_whole := cardinality(v_locked) = cardinality(p_row);
    if p_begins then
        v_open := start_gate_is_open();
    end if;
    -- Read once the rows are ours: an answer that waited is judged by when it could be written.
    v_at := clock_timestamp();
    -- Locked before its order is read: who follows the log sees by this lock who may still write (0018_reading.sql).
    lock table workflow_event in row exclusive mode;
    select b.base + greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) into v_order from feed_base b;

    with advanced as (
        update workflow w
        set version = i.version, seal = i.seal, status = i.status, queued = i.status = 'queued', running = i.status = 'executing' and w.action <> 'external', updated_at = v_at,
            report_due_at = v_at + make_interval(secs => i.report_after),
            approval_status = coalesce(i.approval_status, w.approval_status),
            approvers = case when i.approval_status is null then w.approvers else i.approvers end,
            open_roles = case when i.approval_status is null then w.open_roles else i.open_roles end,
            approvals = case when i.approval_status is null then w.approvals else i.approvals end,
            approved_by = case when i.approval_status is null then w.approved_by else i.approved_by end,
            escalation_level = case when i.approval_status is null then w.escalation_level else i.escalation_level end,
            timeout_at = case when i.approval_status is null then w.timeout_at
                              else case when i.required is null then w.requested_at else v_at end + make_interval(secs => i.timeout_after) end,
            requested_at = case when i.required is null then w.requested_at else v_at end,
            required = coalesce(i.required, w.required),
            separation_of_duties = case when i.required is null then w.separation_of_duties else i.separation end,
            timetable = case when i.required is null then w.timetable else i.timetable end,
            expires_at = case when i.required is null then w.expires_at else v_at + make_interval(secs => i.expire_after) end,
            resolved_by = case when i.approval_status is null then w.resolved_by else i.resolved_by end,
            resolved_at = case when i.approval_status is null then w.resolved_at when i.approval_status <> 'pending' then v_at end,
            resolution_note = case when i.approval_status is null then w.resolution_note else i.resolution_note end
        from unnest(p_row) as i
        where w.workflow_id = i.workflow_id and w.version = i.expected
          and (v_whole or i.workflow_id = any (v_locked))
          and (i.not_before is null or v_at >= i.not_before)
          and (i.not_after is null or v_at < i.not_after)
          and (i.relies_on is null or not exists (
                  select from suspension s where s.restored_at is null and s.name = any (i.relies_on)))
          and (i.starter is null or lease_holds(i.starter, clock_timestamp()))
          and (i.lapsed is null or not lease_holds(i.lapsed, clock_timestamp()))
          and (i.grant_id is null or grant_stands(i.grant_id))
          and (i.begins_in is null or (v_open and not is_held(i.begins_in, i.begins_before, v_at)))
        returning w.workflow_id
    )
    select coalesce(array_agg(advanced.workflow_id), '{}') into v_advanced from advanced;

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, v_order
    from unnest(p_event) as e
    where cardinality(v_advanced) = cardinality(p_row) or e.workflow_id = any (v_advanced);

    if p_notice <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(p_notice) as n
        where n.workflow_id = any (v_advanced);
    end if;
    -- Whoever has not been asked yet is not asked any more; where people are asked anew, not for the round before. A notice that is
    -- locked is on its way: its courier looks at the log itself.
    update notice n
    set status = 'cancelled', error = case when asked.required is null then 'the request was settled first' else 'people are asked again' end
    from (
        select m.notice_id, i.required
        from unnest(p_row) as i
        join notice m using (workflow_id)
        where (i.approval_status <> 'pending' or (i.required is not null and m.version <= i.expected)) and i.workflow_id = any (v_advanced)
          and m.status = 'pending' and m.kind in ('approval.requested', 'approval.reminded', 'approval.escalated')
        for no key update of m skip locked) as asked
    where n.notice_id = asked.notice_id;

    return query select null::bigint, null::text, cardinality(v_advanced), v_at;
    if cardinality(v_advanced) < cardinality(p_row) then
        return query
        select i.ordinality,
               case when not v_whole and w.workflow_id is not null and i.workflow_id <> all (v_locked) then 'busy'
                    when w.version is distinct from i.expected then 'conflict'
                    when v_at < i.not_before then 'too_early'
                    when v_at >= i.not_after then 'too_late'
                    when i.starter is not null and not lease_holds(i.starter, clock_timestamp()) then 'fenced'
                    when lease_holds(i.lapsed, clock_timestamp()) then 'owner_acts'
                    when i.begins_in is not null and not v_open then 'busy'
                    when is_held(i.begins_in, i.begins_before, v_at) then 'held'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        left join workflow w using (workflow_id)
        where i.workflow_id <> all (v_advanced);
    end if;
end
$$;
