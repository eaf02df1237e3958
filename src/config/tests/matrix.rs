//! The level that the shipped files give each combination of words, compared with what was judged
//! acceptable.

use super::*;
use crate::domain::risk::level::Level;
use crate::domain::risk::matrix::Matrix;

const ENVIRONMENTS: [Option<&str>; 4] = [Some("production"), Some("staging"), Some("development"), None];
const TYPES: [Option<&str>; 5] = [Some("code"), Some("service"), Some("database"), Some("infrastructure"), None];

fn shipped_matrix() -> Matrix {
    valid(&[(APPROVALS, PEOPLE)]).rules.matrix()
}

#[test]
fn the_shipped_matrix_equals_the_reviewed_one() {
    let matrix = shipped_matrix().to_string();
    let written = std::fs::read_to_string(repository().join("tests/fixtures/shipped-matrix.txt")).unwrap();
    assert_eq!(matrix, written.trim_end(), "if this is meant, write it down there");
}

/// An operation, the environments and types that it concerns, and the lowest level that it may
/// have.
type Judgment<'a> = (&'a str, &'a [Option<&'a str>], &'a [Option<&'a str>], Level);

#[test]
fn no_case_judged_unacceptable_is_low() {
    let matrix = shipped_matrix();
    let unsafe_environments = [Some("production"), None];
    let heavy = [Some("database"), Some("infrastructure"), None];
    let data = [Some("database"), None];
    let judged: &[Judgment] = &[
        // Changes to production, and to what could be production.
        ("modify", &unsafe_environments, &TYPES, Level::Medium),
        ("restart", &unsafe_environments, &TYPES, Level::Medium),
        ("scale", &unsafe_environments, &TYPES, Level::Medium),
        ("test", &unsafe_environments, &TYPES, Level::Medium),
        ("build", &unsafe_environments, &TYPES, Level::Medium),
        ("deploy", &unsafe_environments, &TYPES, Level::High),
        ("delete", &unsafe_environments, &TYPES, Level::Critical),
        // Databases and infrastructure in production.
        ("modify", &unsafe_environments, &heavy, Level::High),
        ("restart", &unsafe_environments, &heavy, Level::High),
        ("scale", &unsafe_environments, &heavy, Level::High),
        ("test", &unsafe_environments, &heavy, Level::High),
        ("build", &unsafe_environments, &heavy, Level::High),
        // Deletes are never low, and always high for what is hard to restore.
        ("delete", &ENVIRONMENTS, &TYPES, Level::Medium),
        ("delete", &ENVIRONMENTS, &heavy, Level::High),
        ("modify", &ENVIRONMENTS, &[Some("infrastructure"), None], Level::High),
        ("modify", &ENVIRONMENTS, &TYPES, Level::Medium),
        // Data that leaves.
        ("read", &unsafe_environments, &data, Level::Medium),
        ("data_export", &ENVIRONMENTS, &TYPES, Level::High),
    ];
    for (operation, environments, types, at_least) in judged {
        for environment in *environments {
            for resource_type in *types {
                let level = matrix.level(operation, *environment, *resource_type).unwrap();
                assert!(level >= *at_least, "{operation} {environment:?} {resource_type:?} is {level}, and should be {at_least}");
            }
        }
    }
}

#[test]
fn harmless_work_stays_low() {
    let matrix = shipped_matrix();
    let outside = [Some("staging"), Some("development")];
    for (operation, environments) in [
        ("plan", &ENVIRONMENTS[..]),
        ("read", &outside),
        ("test", &outside),
        ("build", &outside),
        ("deploy", &outside),
        ("restart", &outside),
        ("scale", &outside),
    ] {
        for environment in environments {
            for resource_type in TYPES {
                assert_eq!(
                    matrix.level(operation, *environment, resource_type),
                    Some(Level::Low),
                    "{operation} {environment:?} {resource_type:?}"
                );
            }
        }
    }
    for resource_type in ["code", "service", "infrastructure"] {
        assert_eq!(matrix.level("read", Some("production"), Some(resource_type)), Some(Level::Low), "read {resource_type}");
    }
    let low = matrix.rows.iter().flat_map(|row| &row.levels).filter(|level| **level == Level::Low).count();
    assert_eq!((matrix.rows.len() * TYPES.len(), low), (200, 86), "of 200 combinations, where 152 were low once");
}

#[test]
fn a_condition_that_looks_at_the_time_counts_with_its_highest_level() {
    let friday =
        "triggers: { friday: { when: 'operation == \"deploy\" && now.getDayOfWeek() == 5 && now.getHours() == 17', level: high } }\n";
    let matrix = valid(&[(TRIGGERS, friday), (APPROVALS, PEOPLE)]).rules.matrix();
    assert_eq!(matrix.level("deploy", Some("staging"), Some("code")), Some(Level::High));
    assert_eq!(matrix.level("build", Some("staging"), Some("code")), Some(Level::Low));
}

/// A file with only levels and triggers: what no trigger matches is low, and `check` says so.
#[test]
fn a_file_with_only_triggers_leaves_the_rest_low() {
    let matrix = valid(&[(RULES, super::valid::MINIMAL), (APPROVALS, PEOPLE)]).rules.matrix();
    for (operation, environment, resource_type, level) in [
        ("modify", Some("production"), Some("database"), Level::Low),
        ("restart", Some("production"), Some("infrastructure"), Level::Low),
        ("delete", Some("staging"), Some("database"), Level::Low),
        ("delete", Some("production"), Some("code"), Level::Critical),
        ("deploy", None, Some("code"), Level::High),
        ("modify", Some("staging"), None, Level::High),
        ("data_export", Some("development"), Some("code"), Level::High),
    ] {
        assert_eq!(matrix.level(operation, environment, resource_type), Some(level), "{operation} {environment:?} {resource_type:?}");
    }
}
