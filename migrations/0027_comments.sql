-- Comments, questions and their answers, and a warning before a request expires.

alter table notice drop constraint notice_kind_known;
alter table notice add constraint notice_kind_known
    check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.expiring', 'approval.decided', 'approval.expired',
                    'workflow.cancelled', 'workflow.superseded', 'workflow.asked', 'workflow.answered', 'workflow.executing',
                    'workflow.succeeded', 'workflow.failed', 'workflow.report_overdue', 'workflow.outcome_unknown'));
