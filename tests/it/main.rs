//! Integration tests on a real PostgreSQL: one story per file, each test with a database of its own.

mod support;

mod channels;
mod chaos;
mod couriers;
mod decide;
mod escalate;
mod execute;
mod flows;
mod kill;
mod lists;
mod notices;
mod outage;
mod people;
mod queries;
mod slack;
mod storage;
mod submit;
mod supervise;
mod tokens;
