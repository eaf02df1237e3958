-- What waits for people of one requester: how much of it an agent may have at once is a quota.
create index workflow_pending_of_requester on workflow (requested_by) where approval_status = 'pending';
