-- One person's decisions, newest first, for the page that shows them. Only approvals and rejections are in it: a submit and a
-- run pay nothing for it, and a decision one short entry.

create index workflow_event_decision on workflow_event (actor, at desc, workflow_id desc) where kind in ('approved', 'rejected');
