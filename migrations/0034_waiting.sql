-- What waits for people, in the order in which it falls due.
--
-- This builds one index over the requests that wait, and holds a lock against writes meanwhile (about 1 s for 100,000 of them).

-- Whether this person, with these roles, may decide a request now.
create function is_open_to(w workflow, name text, roles text[]) returns boolean language sql immutable parallel safe as $$
    select coalesce(w.open_roles, w.approvers) && roles and (w.approved_by @> array[name]) is not true
           and (not w.separation_of_duties or (w.requested_by <> name and w.on_behalf_of is distinct from name))
$$;

-- The number of a level and the roles that may decide, of what waits: the one that `place_of` gives it. It has a text of its own, so that a
-- plan that wants this index can take no other.
create function waiting_place(risk_level text, approvers text[]) returns bigint language sql immutable parallel safe as $$
    select hash_array_extended(approvers, hashtextextended(risk_level, 0)) & 9223372036854775807
$$;

-- Those of each level and set of roles, what falls due first before the others, and what never does after them.
create index workflow_waiting on workflow (waiting_place(risk_level, approvers), (coalesce(timeout_at, 'infinity')), workflow_id)
    where status = 'pending_approval';
