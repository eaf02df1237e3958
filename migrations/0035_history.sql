-- Looking back: every decision of a person, also one that broke the glass or took a yes back, and the workflows that a person decided.
--
-- This builds two indexes over decisions alone; decisions wait meanwhile (a few seconds for a million of them).

drop index workflow_event_decision;
-- A person's decisions, the latest first.
create index workflow_event_decision on workflow_event (actor, at desc, workflow_id desc)
    where kind in ('approved', 'rejected', 'withdrawn', 'glass_broken');
-- The workflows that a person decided, in the order of the list.
create index workflow_event_decider on workflow_event (actor, workflow_id)
    where kind in ('approved', 'rejected', 'withdrawn', 'glass_broken');
