-- Reading at scale: the order of events, and an index for each list. `storage/candidates.rs` says how lists use them.

-- The order in which events became known, for those who follow what happens (`/events`).
--
-- `feed_order` is no less than the number of the event's transaction, and than that of every transaction which had ended when the
-- event was written. So:
-- - the events of a workflow have it in the order of their versions, because each is written after the one before it was committed;
-- - an event of a transaction that is not under way now, and not yet visible, will have one that is no less than today's next number.
--   What is under way can be seen: who writes events holds a lock on the table until the end (`Storage::feed_mark`).
-- It is not simply the number of the transaction: a transaction may have had its number for long before it writes its first event.
--
-- Transactions are numbered anew in a database that was restored from a dump. `base` is what goes before the numbers then.

create table feed_base (
    is_only boolean not null default true,
    base    bigint  not null,
    constraint feed_base_pkey primary key (is_only),
    constraint feed_base_is_only check (is_only)
);
insert into feed_base (base) values (0);

create function feed_order() returns bigint language sql volatile as $$
    select b.base + greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) from feed_base b
$$;

-- Events from before this have none, and are read by their workflow alone.
alter table workflow_event add column feed_order bigint;
alter table workflow_event alter column feed_order set default feed_order();
create index workflow_event_feed on workflow_event (feed_order) where feed_order is not null;

-- Called before the log is followed. Where events have a place that no transaction of this database can have given, the database was
-- restored: then its transactions are numbered from behind them on.
create function feed_restart() returns void language plpgsql as $$
declare
    v_highest bigint;
    v_next    bigint;
begin
    select max(e.feed_order) into v_highest from workflow_event e;
    select b.base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint into v_next from feed_base b;
    if v_highest > v_next then
        lock table workflow_event in share mode;
        select max(e.feed_order) into v_highest from workflow_event e;
        update feed_base b set base = b.base + v_highest + 1 - v_next where v_highest > v_next;
    end if;
end
$$;

-- Lists of workflows, each in the order of ids. What requested and how dangerous it is never changes; the status does, and with it
-- a step writes all the indexes of its row. That is the price of finding what failed among millions.
create index workflow_by_requester on workflow (requested_by, workflow_id);
create index workflow_by_person on workflow (on_behalf_of, workflow_id) where on_behalf_of is not null;
create index workflow_by_level on workflow (risk_level, workflow_id);
create index workflow_by_status on workflow (status, workflow_id);
-- What an agent may see of what waits.
create index workflow_pending_by_requester on workflow (requested_by, requested_at, workflow_id) where approval_status = 'pending';
create index workflow_pending_by_person on workflow (on_behalf_of, requested_at, workflow_id)
    where approval_status = 'pending' and on_behalf_of is not null;
-- What people were asked, for the figures.
create index workflow_asked on workflow (requested_at, workflow_id) where requested_at is not null;

-- Notices by their channel, and those that wait.
create index notice_by_channel on notice (channel, notice_id);
create index notice_pending_by_id on notice (notice_id) where status = 'pending';
-- How many are due, and which of a workflow and a recipient comes first.
create index notice_pending_since on notice (channel, first_due_at) where status = 'pending';
create index notice_first on notice (workflow_id, channel, coalesce(recipient, ''), first_due_at, version, notice_id) where status = 'pending';

-- The channels for which something waits: one look into the index for each, however much waits there.
create view pending_channel as
with recursive pending as (
    (select channel from notice where status = 'pending' order by channel limit 1)
    union all
    select following.channel
    from pending cross join lateral (
        select n.channel from notice n where n.status = 'pending' and n.channel > pending.channel order by n.channel limit 1
    ) following
)
select channel from pending;
