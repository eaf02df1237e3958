//! Integration tests on a real PostgreSQL: one story per file, each test with a database of its own.

mod support;

mod chaos;
mod flows;
mod kill;
mod outage;
mod queries;
mod storage;
mod supervise;
