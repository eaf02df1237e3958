//! Integration tests on a real PostgreSQL: one story per file, each test with a database of its own.

mod support;

mod chaos;
mod decide;
mod escalate;
mod events;
mod execute;
mod flows;
mod inbox_decide;
mod inbox_pages;
mod inbox_session;
mod kill;
mod lists;
mod outage;
mod queries;
mod statistics;
mod storage;
mod submit;
mod supervise;
mod tokens;
